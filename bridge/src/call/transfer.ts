import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import type { AriEvent } from '../ari/model.ts';
import { AriError } from '../ari/requests.ts';
import { withinLimit } from '../async/time-limit.ts';
import type { MediaSession } from '../media/session.ts';
import { CAUSE } from '../q850/causes.ts';
import type { AdoptedLeg } from './adopted-talk.ts';
import { Dial, type DialSettings, RingTimeout } from './dial.ts';
import { TAIL_MS } from './last-words.ts';
import type { MediaPath } from './media-path.ts';
import { dialOutcome } from './outcome.ts';
import type { TransferFailure } from './transfer-reasons.ts';
import type { TransferStatus, TransferSummary } from './transfer-summary.ts';
import type { TransferTarget } from './transfer-target.ts';

/** What a transfer works with: objects of its call. */
export interface TransferContext {
  readonly channelId: string;
  readonly path: MediaPath;
  readonly ari: AriClient;
  readonly settings: DialSettings;
}

/**
 * SIP statuses that concern the callee. Any other failure of a REFER means that the network does
 * not support it.
 */
const REASON_OF_STATUS: Readonly<Record<number, TransferFailure>> = {
  404: 'invalid-number',
  408: 'no-answer',
  410: 'invalid-number',
  480: 'no-answer',
  484: 'invalid-number',
  486: 'busy',
  487: 'no-answer',
  600: 'busy',
  604: 'invalid-number',
};

/** A failed transfer. */
class TransferFailed extends Error {
  /** For the bot and the record. */
  readonly reason: TransferFailure;

  constructor(reason: TransferFailure) {
    super(reason);
    this.reason = reason;
  }
}

/** The network does not accept a REFER. */
class ReferRefused extends TransferFailed {}

/**
 * The caller was sent to the dialplan and did not return: the transfer failed, and the call has no
 * caller.
 */
class CallerLost extends Error {}

type TargetOf<Kind> = Extract<TransferTarget, { kind: Kind }>;

/** A second leg, from the creation of its channel on. */
interface Leg {
  readonly id: string;
  readonly dial: Dial;
  readonly gone: PromiseWithResolvers<never>;
  /** The channel was created: if Asterisk does not show it later, it has ended. */
  exists: boolean;
  readonly created: Promise<unknown>;
  joined: Promise<void> | undefined;
}

/**
 * One attempt to transfer a caller. Meanwhile caller and bot do not hear each other. If it fails,
 * the conversation goes on as before. `signal` fires if the caller leaves.
 */
export class Transfer {
  readonly target: TransferTarget;
  readonly #context: TransferContext;
  readonly #returned = Promise.withResolvers<{ status: string; sipStatus: number }>();
  readonly #number: number;
  readonly #token: string;
  #status: TransferStatus = 'pending';
  #reason: TransferFailure | undefined;
  #leg: Leg | undefined;
  #callerAway = false;
  #isCallerLost = false;
  #isApart = false;

  /** `number` counts the call's transfers, from 1. */
  constructor(target: TransferTarget, number: number, context: TransferContext) {
    this.target = target;
    this.#number = number;
    this.#context = context;
    this.#token = context.path.transferToken(number);
  }

  /**
   * A transfer that a previous process completed. Watches its second leg, if that is still there.
   */
  static adopted(
    target: TransferTarget,
    number: number,
    context: TransferContext,
    leg: AdoptedLeg | undefined,
  ) {
    const transfer = new Transfer(target, number, context);
    transfer.#status = 'completed';
    if (leg !== undefined) transfer.#adopt(leg);
    return transfer;
  }

  get status(): TransferStatus {
    return this.#status;
  }

  /** For the call's record. */
  get summary(): TransferSummary {
    const { target } = this;
    const isNumber = target.kind === 'number';
    return {
      to: isNumber ? target.number : target.extension,
      mode: isNumber ? 'blind' : 'dialplan',
      status: this.#status,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
    };
  }

  /** Whether we sent the caller to the dialplan: leaving our app is then not a hang-up. */
  get callerAway(): boolean {
    return this.#callerAway;
  }

  /** Whether caller and bot do not hear each other. */
  get isApart(): boolean {
    return this.#isApart;
  }

  /** Whether the caller did not return in time. */
  get isCallerLost(): boolean {
    return this.#isCallerLost;
  }

  /** Channel id of the second leg, if there is one. */
  get legId(): string | undefined {
    return this.#leg?.id;
  }

  /** The provider of the second leg, if there is one. */
  get legProvider(): string | undefined {
    return this.#leg !== undefined && this.target.kind === 'number' ? this.target.provider : undefined;
  }

  /**
   * Transfers the caller when the bot's queued audio is played. Never rejects: see `status` and
   * `reason`.
   */
  async run(media: MediaSession, signal: AbortSignal): Promise<void> {
    media.tellBot({ type: 'transfer', status: 'started' });
    try {
      await orAborted(media.playedOut(), signal);
      await delay(TAIL_MS, undefined, { signal });
      this.#isApart = true;
      media.expectAudio(false);
      await this.#toTarget(signal);
      this.#status = 'completed';
      media.tellBot({ type: 'transfer', status: 'completed' });
    } catch (error) {
      this.#status = 'failed';
      this.#isApart = false;
      this.#isCallerLost = error instanceof CallerLost;
      this.#reason = error instanceof TransferFailed ? error.reason : 'failed';
      if (signal.aborted) return;
      media.expectAudio(true);
      media.tellBot({ type: 'transfer', status: 'failed', reason: this.#reason });
    }
  }

  /** ARI: an event of the second leg. */
  legHappened(event: AriEvent): void {
    const leg = this.#leg;
    if (leg === undefined) return;
    if (event.type === 'StasisStart') leg.dial.entered();
    if (event.type === 'Dial' && event.dialstatus !== '') this.#join(leg);
    if (event.type === 'ChannelStateChange' && event.channel.state === 'Up') {
      this.#join(leg);
      leg.dial.answered();
    }
    if (event.type === 'ChannelDestroyed') leg.gone.reject(new TransferFailed(dialOutcome(event.cause)));
  }

  /** Channel id of the second leg, if it is known to exist. */
  get knownLegId(): string | undefined {
    return this.#leg?.exists ? this.#leg.id : undefined;
  }

  /** State of the second leg as Asterisk shows it. Its events may have been lost. */
  legIs(state: string): void {
    const leg = this.#leg;
    if (leg === undefined) return;
    leg.dial.entered();
    if (state === 'Up' || state === 'Ringing') this.#join(leg);
    if (state === 'Up') leg.dial.answered();
  }

  /** Asterisk no longer has the second leg. */
  legLost(): void {
    this.#leg?.gone.reject(new TransferFailed('failed'));
  }

  /** Name of this transfer in the dialplan. A caller who returns brings it along. */
  get token(): string {
    return this.#token;
  }

  /** ARI: the caller returned from the dialplan, with the REFER's TRANSFERSTATUS and SIP status. */
  callerReturned([status = '', sipStatus = '0']: readonly string[]): void {
    this.#callerAway = false;
    this.#returned.resolve({ status, sipStatus: Number(sipStatus) });
  }

  /** Resolves when the second leg has ended after its answer. */
  async legEnded(): Promise<void> {
    await this.#leg?.gone.promise.catch(() => {});
  }

  /** Hangs up the second leg, if there is one. */
  async release(): Promise<void> {
    const leg = this.#leg;
    if (leg === undefined) return;
    // The removal waits for the creation.
    await leg.created.catch(() => {});
    await this.#context.ari.hangUp(leg.id, CAUSE.normalClearing);
  }

  async #toTarget(signal: AbortSignal): Promise<void> {
    const { target } = this;
    if (target.kind === 'dialplan') return await this.#toDialplan(target, signal);
    if (target.method === 'bridge') return await this.#toLeg(target, signal);
    try {
      await this.#refer(target.number, signal);
    } catch (error) {
      if (target.method === 'refer' || !(error instanceof ReferRefused)) throw error;
      await this.#toLeg(target, signal);
    }
  }

  async #toDialplan(target: TargetOf<'dialplan'>, signal: AbortSignal): Promise<void> {
    const { ari, channelId } = this.#context;
    const { context, extension } = target;
    const exists = await ari.variable(channelId, `DIALPLAN_EXISTS(${context},${extension},1)`);
    if (exists !== '1') throw new TransferFailed('no-such-extension');
    await this.#send(context, extension, signal);
  }

  /** Asks the caller's network to call the number (SIP REFER, RFC 3515). */
  async #refer(number: string, signal: AbortSignal): Promise<void> {
    const { ari, channelId, path, settings } = this.#context;
    await ari.setVariable(channelId, 'TRANSFER_TO', number);
    await ari.setVariable(channelId, 'TRANSFER_SECONDS', String(Math.ceil(settings.ringTimeoutMs / 1000)));
    await ari.setVariable(channelId, 'TRANSFER_TOKEN', this.#token);
    await this.#send('transfer', 'refer', signal);
    // Asterisk limits this wait (TRANSFER_SECONDS). This limit is for a lost event.
    const limitMs = settings.ringTimeoutMs + 2 * settings.ariTimeoutMs;
    const late = () => new CallerLost('the caller did not come back from a REFER in time');
    const { status, sipStatus } = await withinLimit(orAborted(this.#returned.promise, signal), limitMs, late);
    if (status === 'SUCCESS') return;
    await ari.addToBridge(path.bridgeId, channelId);
    const reason = REASON_OF_STATUS[sipStatus];
    if (reason === undefined) throw new ReferRefused('rejected');
    throw new TransferFailed(reason);
  }

  async #send(context: string, extension: string, signal: AbortSignal): Promise<void> {
    const { ari, channelId } = this.#context;
    requireLive(signal);
    this.#callerAway = true;
    try {
      await ari.continueInDialplan(channelId, { context, extension });
    } catch (error) {
      this.#callerAway = false;
      throw error;
    }
  }

  /**
   * Dials the number. The second leg replaces the bot in the mixing bridge. The caller hears a
   * ringing tone.
   */
  async #toLeg(target: TargetOf<'number'>, signal: AbortSignal): Promise<void> {
    const { ari, channelId, path } = this.#context;
    requireLive(signal);
    const leg = this.#makeLeg(target);
    this.#leg = leg;
    let isAnswered = false;
    let isRinging = false;
    try {
      await leg.created;
      isRinging = true;
      await ari.ring(channelId);
      await path.takeOutMedia();
      await Promise.race([leg.dial.run(leg.id, signal), leg.gone.promise]);
      await leg.joined;
      requireLive(signal);
      isAnswered = true;
    } catch (error) {
      throw error instanceof RingTimeout ? new TransferFailed('no-answer') : error;
    } finally {
      if (isRinging) await ari.stopRinging(channelId).catch(() => {});
      if (!isAnswered) {
        await this.release().catch(() => {});
        this.#leg = undefined;
        if (isRinging && !signal.aborted) await path.joinMedia();
      }
    }
  }

  #makeLeg({ provider, number, callerId }: TargetOf<'number'>): Leg {
    const { ari, path, settings } = this.#context;
    const id = path.legId(this.#number);
    // The caller number for the other end. To Asterisk it is the leg's connected line.
    const variables = { 'CONNECTEDLINE(num,i)': callerId };
    const created = ari.createChannel(id, `PJSIP/${number}@${provider}`, '', variables);
    const leg = newLeg(id, new Dial(ari, settings), created);
    created.then(
      () => (leg.exists = true),
      () => {},
    );
    return leg;
  }

  #adopt({ channelId, isJoined }: AdoptedLeg): void {
    const { ari, settings } = this.#context;
    const leg = newLeg(channelId, new Dial(ari, settings), Promise.resolve());
    leg.exists = true;
    this.#leg = leg;
    if (isJoined) leg.joined = Promise.resolve();
    else this.#join(leg);
    // The previous process may have died while the ringing tone was on.
    ari.stopRinging(this.#context.channelId).catch(() => {});
    // If the leg hung up after Asterisk was read, no event will report that.
    ari.subscribe(channelId).catch((error: unknown) => {
      if (error instanceof AriError && error.status >= 400 && error.status < 500) this.legLost();
    });
  }

  /**
   * Adds the leg to the bridge, for early media and the answer. Before its INVITE the bridge would
   * replace the leg's caller number.
   */
  #join(leg: Leg): void {
    const { ari, path } = this.#context;
    leg.joined ??= ari.addToBridge(path.bridgeId, leg.id);
    leg.joined.catch(() => {});
  }
}

function newLeg(id: string, dial: Dial, created: Promise<unknown>): Leg {
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => {});
  return { id, dial, gone, created, joined: undefined, exists: false };
}

/** The call may have ended while Asterisk was asked. */
function requireLive(signal: AbortSignal): void {
  if (signal.aborted) throw new TransferFailed('cancelled');
}

/** The step's result. Rejects as soon as `signal` fires. */
async function orAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new TransferFailed('cancelled'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  return await Promise.race([step, promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
