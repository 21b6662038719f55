import type { AriClient } from '../ari/client.ts';
import { type ChannelRelease, releaseChannel, releaseOf } from './channel-release.ts';
import { DtmfSender } from './dtmf.ts';
import type { EndTreatment } from './end-reason.ts';
import type { Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import { KeyRepeats } from './key-repeats.ts';

/** What a caller's channel belongs to. */
export interface CallerContext {
  readonly ari: AriClient;
  readonly info: CallInfo;
  readonly bridgeId: string;
  readonly ending: Ending;
  /** Says what went wrong, where the call goes on all the same. */
  readonly warn: (error: Error, message: string) => void;
}

/** The caller's channel: the one that the call began with, or another that has taken its place. */
export class CallerChannel {
  readonly #context: CallerContext;
  readonly #keys: DtmfSender;
  #keyRepeats = new KeyRepeats();
  #id: string;
  #release: ChannelRelease | undefined;

  constructor(context: CallerContext) {
    this.#context = context;
    this.#id = context.info.adopted?.callerId ?? context.info.channelId;
    this.#keys = new DtmfSender(context.ari, context.ending.signal);
  }

  get id(): string {
    return this.#id;
  }

  /** Which of the caller's keys are told a second time. */
  get keyRepeats(): KeyRepeats {
    return this.#keyRepeats;
  }

  /** How it was left at the call's end; undefined where the caller went on elsewhere, as was asked for. */
  get release(): ChannelRelease | undefined {
    return this.#release;
  }

  /** Events of the channel come to us from now on, and nothing that ends a media channel goes from it into the bridge. */
  async attend(): Promise<void> {
    const { ari } = this.#context;
    await Promise.all([ari.subscribe(this.#id), ari.dropComfortNoise(this.#id)]);
  }

  /** ARI: another channel of the same provider has taken the caller's place (RFC 3891). */
  replacedBy(channelId: string): void {
    this.#id = channelId;
    this.#keyRepeats = new KeyRepeats();
    const { warn } = this.#context;
    this.attend().catch((error: Error) => warn(error, 'no events of a channel that took over'));
    this.rejoin();
  }

  /** Answers the caller. A reply that is lost ends nothing. */
  async answer(): Promise<void> {
    const { ari, ending } = this.#context;
    await ending.insist(() => ari.answer(this.#id));
  }

  /** Puts the caller into the mixing bridge. A reply that is lost ends nothing. */
  async join(): Promise<void> {
    const { ari, bridgeId, ending } = this.#context;
    await ending.insist(() => ari.addToBridge(bridgeId, this.#id));
  }

  /** Asterisk has refused something: ends the call where that was for want of a caller, whether that is told or not. Never rejects. */
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

  /** Puts a channel, the caller's own by default, into the mixing bridge again. */
  rejoin(channelId = this.#id): void {
    const { ari, bridgeId, warn } = this.#context;
    ari.addToBridge(bridgeId, channelId).catch((error: Error) => warn(error, 'could not join again'));
  }

  /** Sends keys; `w` and `,` are pauses of 500 ms. What too many wait before is dropped, and said in the log. */
  dtmf(digits: string): void {
    this.#keys.send(this.#id, digits).catch((error: Error) => this.#context.warn(error, 'keys dropped'));
  }

  /** Hangs the caller up, or gives them back to the dialplan, which has a fallback, unless they have hung up. */
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
