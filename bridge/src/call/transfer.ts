import { setTimeout as delay } from 'node:timers/promises';
import { type AriClient, AriError } from '../ari/client.ts';
import type { AriEvent } from '../ari/model.ts';
import { withinLimit } from '../async/time-limit.ts';
import type { MediaSession } from '../media/session.ts';
import { CAUSE } from '../q850/causes.ts';
import { Dial, type DialSettings, RingTimeout } from './dial.ts';
import type { KeptLeg } from './kept-talk.ts';
import type { MediaPath } from './media-path.ts';
import { dialOutcome } from './outcome.ts';
import type { TransferFailure } from './transfer-reasons.ts';
import type { TransferStatus, TransferSummary } from './transfer-summary.ts';
import type { TransferTarget } from './transfer-target.ts';

/** What a transfer works with: the call's own. */
export interface TransferContext {
  readonly channelId: string;
  readonly path: MediaPath;
  readonly ari: AriClient;
  readonly settings: DialSettings;
}

/** From our last packet to the moment when Asterisk has passed it on. */
const TAIL_MS = 100;

/** SIP statuses that tell of the callee. Any other answer to a REFER means that the network does not take it. */
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

/** A transfer that came to nothing. */
class TransferFailed extends Error {
  /** For the bot and the record. */
  readonly reason: TransferFailure;

  constructor(reason: TransferFailure) {
    super(reason);
    this.reason = reason;
  }
}

/** The network does not take a REFER. */
class ReferRefused extends TransferFailed {}

/** The caller was sent to the dialplan and has not come back: the transfer has failed, and the call is without a caller. */
class CallerLost extends Error {}

/** A second leg: from the channel that is made for it. */
interface Leg {
  readonly id: string;
  readonly dial: Dial;
  readonly gone: PromiseWithResolvers<never>;
  /** Its channel is there: from then on one that is missing has ended. */
  exists: boolean;
  readonly created: Promise<unknown>;
  joined: Promise<void> | undefined;
}

/**
 * One attempt to hand a caller over. While it lasts caller and bot do not hear each other; where it fails both are as before. The
 * caller may leave at any time, which `signal` tells.
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

  /** `number` counts the call's transfers, from 1. */
  constructor(target: TransferTarget, number: number, context: TransferContext) {
    this.target = target;
    this.#number = number;
    this.#context = context;
    this.#token = context.path.transferToken(number);
  }

  /** One that a process before has completed: its second leg is watched from now on, or has gone already. */
  static kept(target: TransferTarget, number: number, context: TransferContext, kept: KeptLeg | undefined) {
    const transfer = new Transfer(target, number, context);
    transfer.#status = 'completed';
    if (kept !== undefined) transfer.#keep(kept);
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

  /** Whether the caller is in the dialplan, where we sent them: leaving our app is no hang-up then. */
  get callerAway(): boolean {
    return this.#callerAway;
  }

  /** Whether the caller did not come back in time. */
  get isCallerLost(): boolean {
    return this.#isCallerLost;
  }

  /** The channel of the second leg, while there is one. */
  get legId(): string | undefined {
    return this.#leg?.id;
  }

  /** Whose trunk the second leg is on, while there is one. */
  get legProvider(): string | undefined {
    return this.#leg !== undefined && this.target.kind === 'number' ? this.target.provider : undefined;
  }

  /** Hands the caller over once the bot's last words are played. Never rejects; `status` and `reason` say how it went. */
  async run(media: MediaSession, signal: AbortSignal): Promise<void> {
    media.tellBot({ type: 'transfer', status: 'started' });
    try {
      await orAborted(media.playedOut(), signal);
      await delay(TAIL_MS, undefined, { signal });
      media.expectAudio(false);
      await this.#handOver(signal);
      this.#status = 'completed';
      media.tellBot({ type: 'transfer', status: 'completed' });
    } catch (error) {
      this.#status = 'failed';
      this.#isCallerLost = error instanceof CallerLost;
      this.#reason = error instanceof TransferFailed ? error.reason : 'failed';
      if (signal.aborted) return;
      media.expectAudio(true);
      media.tellBot({ type: 'transfer', status: 'failed', reason: this.#reason });
    }
  }

  /** ARI: something happened to the second leg. */
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

  /** The second leg's channel, once it is known to have been made. */
  get knownLegId(): string | undefined {
    return this.#leg?.exists ? this.#leg.id : undefined;
  }

  /** As Asterisk shows the second leg, whose events may be lost. */
  legIs(state: string): void {
    const leg = this.#leg;
    if (leg === undefined) return;
    leg.dial.entered();
    if (state === 'Up' || state === 'Ringing') this.#join(leg);
    if (state === 'Up') leg.dial.answered();
  }

  /** Asterisk holds the second leg no more. */
  legLost(): void {
    this.#leg?.gone.reject(new TransferFailed('failed'));
  }

  /** Names this absence of the caller, to those who see them come back. */
  get token(): string {
    return this.#token;
  }

  /** ARI: the caller is back from the dialplan, with what came of the REFER: TRANSFERSTATUS and a SIP status. */
  callerReturned([status = '', sipStatus = '0']: readonly string[]): void {
    this.#callerAway = false;
    this.#returned.resolve({ status, sipStatus: Number(sipStatus) });
  }

  /** Resolves when the second leg has ended, after it was answered. */
  async legEnded(): Promise<void> {
    await this.#leg?.gone.promise.catch(() => {});
  }

  /** Ends the second leg, if there is one. */
  async release(): Promise<void> {
    const leg = this.#leg;
    if (leg === undefined) return;
    // What is under way is waited for before it is undone.
    await leg.created.catch(() => {});
    await this.#context.ari.hangUp(leg.id, CAUSE.normalClearing);
  }

  async #handOver(signal: AbortSignal): Promise<void> {
    const { target } = this;
    if (target.kind === 'dialplan') return await this.#toDialplan(target.context, target.extension);
    if (target.method === 'bridge') return await this.#toLeg(target, signal);
    try {
      await this.#refer(target.number, signal);
    } catch (error) {
      if (target.method === 'refer' || !(error instanceof ReferRefused)) throw error;
      await this.#toLeg(target, signal);
    }
  }

  async #toDialplan(context: string, extension: string): Promise<void> {
    const { ari, channelId } = this.#context;
    const exists = await ari.variable(channelId, `DIALPLAN_EXISTS(${context},${extension},1)`);
    if (exists !== '1') throw new TransferFailed('no-such-extension');
    await this.#send(context, extension);
  }

  /** The caller's network is asked to call the number. */
  async #refer(number: string, signal: AbortSignal): Promise<void> {
    const { ari, channelId, path, settings } = this.#context;
    await ari.setVariable(channelId, 'TRANSFER_TO', number);
    await ari.setVariable(channelId, 'TRANSFER_SECONDS', String(Math.ceil(settings.ringTimeoutMs / 1000)));
    await ari.setVariable(channelId, 'TRANSFER_TOKEN', this.#token);
    await this.#send('transfer', 'refer');
    // Asterisk bounds this wait (TRANSFER_SECONDS); we do in case that it does not, or that its word is lost.
    const limitMs = settings.ringTimeoutMs + 2 * settings.ariTimeoutMs;
    const late = () => new CallerLost('the caller did not come back from a REFER in time');
    const { status, sipStatus } = await withinLimit(orAborted(this.#returned.promise, signal), limitMs, late);
    if (status === 'SUCCESS') return;
    await ari.addToBridge(path.bridgeId, channelId);
    const reason = REASON_OF_STATUS[sipStatus];
    if (reason === undefined) throw new ReferRefused('rejected');
    throw new TransferFailed(reason);
  }

  async #send(context: string, extension: string): Promise<void> {
    const { ari, channelId } = this.#context;
    this.#callerAway = true;
    try {
      await ari.continueInDialplan(channelId, { context, extension });
    } catch (error) {
      this.#callerAway = false;
      throw error;
    }
  }

  /** We call the number, and it takes the bot's place in the mixing bridge. The caller hears it ring. */
  async #toLeg(target: Extract<TransferTarget, { kind: 'number' }>, signal: AbortSignal): Promise<void> {
    const { ari, channelId, path } = this.#context;
    const leg = this.#makeLeg(target);
    this.#leg = leg;
    let isAnswered = false;
    let isRinging = false;
    try {
      await leg.created;
      isRinging = true;
      await ari.ring(channelId);
      await ari.removeFromBridge(path.bridgeId, path.mediaChannelId);
      await Promise.race([leg.dial.run(leg.id, signal), leg.gone.promise]);
      await leg.joined;
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

  #makeLeg({ provider, number, callerId }: Extract<TransferTarget, { kind: 'number' }>): Leg {
    const { ari, path, settings } = this.#context;
    const id = path.legId(this.#number);
    // The number that the other end is shown: to Asterisk, of whom the leg is connected to.
    const variables = { 'CONNECTEDLINE(num,i)': callerId };
    const created = ari.createChannel(id, `PJSIP/${number}@${provider}`, '', variables);
    const leg = newLeg(id, new Dial(ari, settings), created);
    created.then(
      () => (leg.exists = true),
      () => {},
    );
    return leg;
  }

  #keep({ channelId, isJoined }: KeptLeg): void {
    const { ari, settings } = this.#context;
    const leg = newLeg(channelId, new Dial(ari, settings), Promise.resolve());
    leg.exists = true;
    this.#leg = leg;
    if (isJoined) leg.joined = Promise.resolve();
    else this.#join(leg);
    // The process before may have died with the ringing tone on.
    ari.stopRinging(this.#context.channelId).catch(() => {});
    // Whoever has gone since Asterisk was asked is not told of any more.
    ari.subscribe(channelId).catch((error: unknown) => {
      if (error instanceof AriError && error.status >= 400 && error.status < 500) this.legLost();
    });
  }

  /** Early media and answer are heard from here on; before its INVITE the bridge would give the leg another caller's number. */
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

/** The step's result, or a rejection as soon as `signal` fires. */
async function orAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new TransferFailed('cancelled'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  return await Promise.race([step, promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
