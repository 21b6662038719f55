import type { AriClient } from '../ari/client.ts';
import { type ChannelRelease, releaseChannel, releaseOf } from './channel-release.ts';
import { DtmfSender } from './dtmf.ts';
import type { EndTreatment } from './end-reason.ts';
import type { Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import { KeyRepeats } from './key-repeats.ts';

/** What a caller's channel works with. */
export interface CallerContext {
  readonly ari: AriClient;
  readonly info: CallInfo;
  readonly bridgeId: string;
  readonly ending: Ending;
  /** Logs a failure that does not end the call. */
  readonly warn: (error: Error, message: string) => void;
}

/** The caller's channel: the first one, or another one that has replaced it. */
export class CallerChannel {
  readonly #context: CallerContext;
  readonly #dtmf: DtmfSender;
  #keyRepeats = new KeyRepeats();
  #id: string;
  #release: ChannelRelease | undefined;

  constructor(context: CallerContext) {
    this.#context = context;
    this.#id = context.info.adopted?.callerId ?? context.info.channelId;
    this.#dtmf = new DtmfSender(context.ari, () => this.#id, context.ending.signal);
  }

  get id(): string {
    return this.#id;
  }

  /** Detects keys that Asterisk reports a second time. */
  get keyRepeats(): KeyRepeats {
    return this.#keyRepeats;
  }

  /**
   * How the channel was released. Undefined if the caller continues elsewhere, for example after a
   * transfer.
   */
  get release(): ChannelRelease | undefined {
    return this.#release;
  }

  /**
   * Subscribes to the channel's events. Drops its comfort noise, which would end a media channel.
   */
  async attend(): Promise<void> {
    const { ari } = this.#context;
    await Promise.all([ari.subscribe(this.#id), ari.dropComfortNoise(this.#id)]);
  }

  /** ARI: another channel of the same provider has replaced the caller's (RFC 3891). */
  replacedBy(channelId: string): void {
    this.#id = channelId;
    this.#keyRepeats = new KeyRepeats();
    const { warn } = this.#context;
    this.attend().catch((error: Error) => warn(error, 'no events of a channel that took over'));
    this.rejoin();
  }

  /**
   * Ends the time limit with which the dialplan waits for us. It must not end an answered call.
   * Repeats the request if Asterisk does not reply.
   */
  async take(): Promise<void> {
    const { ari, ending } = this.#context;
    await ending.insist(() => ari.setVariable(this.#id, 'TIMEOUT(absolute)', '0'));
  }

  /** Answers the caller. Repeats the request if Asterisk does not reply. */
  async answer(): Promise<void> {
    const { ari, ending } = this.#context;
    await ending.insist(() => ari.answer(this.#id));
  }

  /** Adds the caller to the mixing bridge. Repeats the request if Asterisk does not reply. */
  async join(): Promise<void> {
    const { ari, bridgeId, ending } = this.#context;
    await ending.insist(() => ari.addToBridge(bridgeId, this.#id));
  }

  /**
   * Asterisk has refused a request. Ends the call if the caller's channel is gone, even if no event
   * has reported that. Never rejects.
   */
  async mayHaveLeft(): Promise<void> {
    const { ari, info, ending } = this.#context;
    await ending.soon();
    if (ending.reason !== undefined || info.direction !== 'inbound') return;
    const isThere = await ari.channel(this.#id).then(
      (channel) => channel !== undefined,
      () => true,
    );
    if (isThere || ending.reason !== undefined) return;
    ending.callerWent(undefined, undefined);
    ending.end({ kind: 'caller-hangup' });
  }

  /** Adds a channel, by default the caller's, to the mixing bridge again. */
  rejoin(channelId = this.#id): void {
    const { ari, bridgeId, warn } = this.#context;
    ari.addToBridge(bridgeId, channelId).catch((error: Error) => warn(error, 'could not join again'));
  }

  /**
   * Sends DTMF digits. `w` and `,` are pauses of 500 ms. If too many wait, drops these and logs it.
   */
  dtmf(digits: string): void {
    this.#dtmf.send(digits).catch((error: Error) => this.#context.warn(error, 'keys dropped'));
  }

  /**
   * Hangs up the caller, or returns them to the dialplan's fallback. Does nothing if they have hung
   * up.
   */
  async leave(treatment: EndTreatment): Promise<void> {
    const { ari, info, ending, warn } = this.#context;
    const release = releaseOf(info, treatment);
    if (ending.callerGone) {
      this.#release = { cause: release.cause, isDone: true };
      return;
    }
    const { left, error } = await releaseChannel(ari, this.#id, release);
    this.#release = left;
    if (error !== undefined) warn(error, 'release failed; left to reconciliation');
  }
}
