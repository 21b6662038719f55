import { createHash } from 'node:crypto';
import { type AriClient, AriError } from '../ari/client.ts';
import { withinLimit } from '../async/time-limit.ts';
import { expectUsable } from './usable-answer.ts';

/** Channels that we make for callees. */
export const DIAL_ID_PREFIX = 'pc-';

/** The id of a channel that we make for a call id: the same for the same one, so that Asterisk itself knows a retry. */
export function dialChannelId(callId: string): string {
  return `${DIAL_ID_PREFIX}${createHash('sha256').update(callId).digest('hex').slice(0, 32)}`;
}

/** How a callee is called. */
export interface DialSettings {
  readonly ringTimeoutMs: number;
  /** Limit of each step of Asterisk. */
  readonly ariTimeoutMs: number;
}

/** The callee did not answer, and Asterisk has not said so. */
export class RingTimeout extends Error {
  override name = 'RingTimeout';
  readonly code = 'ring-timeout';
}

/** One outbound attempt of ours, on a channel that was made for it: who answers becomes the other side of a call. */
export class Dial {
  readonly #ari: AriClient;
  readonly #settings: DialSettings;
  readonly #entered = Promise.withResolvers<void>();
  readonly #answered = Promise.withResolvers<void>();
  #ringing = false;
  #cancelled = false;
  #hasEntered = false;
  #ringsUntilMs = Number.POSITIVE_INFINITY;

  constructor(ari: AriClient, settings: DialSettings) {
    this.#ari = ari;
    this.#settings = settings;
  }

  /** Whether the callee's phone is known to ring. */
  get ringing(): boolean {
    return this.#ringing;
  }

  /** Whether nobody wants it any more; set before there is a call that could be ended. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Whether the callee's phone has been called for as long as it may: who then does not answer is gone by that. */
  get isOverdue(): boolean {
    return performance.now() >= this.#ringsUntilMs;
  }

  /** The callee is not to be called. */
  cancel(): void {
    this.#cancelled = true;
  }

  /** ARI: the channel is in our app, and can be dialled. */
  entered(): void {
    this.#hasEntered = true;
    this.#entered.resolve();
  }

  /** Whether the channel is known to be in our app. */
  get hasEntered(): boolean {
    return this.#hasEntered;
  }

  /** ARI: the callee's phone rings. Returns whether that is news. */
  rings(): boolean {
    const isNews = !this.#ringing;
    this.#ringing = true;
    return isNews;
  }

  /** ARI: the callee has answered. Early media is no answer: it comes without one. */
  answered(): void {
    this.#answered.resolve();
  }

  /**
   * Dials, and waits for an answer that can be used. Rejects with `UnusableAnswer`, with an {@link AriError} where Asterisk refuses, and with {@link RingTimeout}; that it
   * failed otherwise is told by the channel's end, after which `signal` ends the wait.
   */
  async run(channelId: string, signal: AbortSignal): Promise<void> {
    const { ringTimeoutMs, ariTimeoutMs } = this.#settings;
    const late = () => new Error('the channel did not enter Stasis in time');
    await withinLimit(this.#entered.promise, ariTimeoutMs, late, signal);
    // Who is not to be called any more must not ring, not even for a moment.
    signal.throwIfAborted();
    this.#ringsUntilMs = performance.now() + ringTimeoutMs;
    try {
      await this.#ari.dial(channelId, Math.ceil(ringTimeoutMs / 1000));
    } catch (error) {
      // Without a reply the phone may ring all the same, and a second dial could be a second INVITE.
      if (!(error instanceof AriError) || error.status !== 0) throw error;
    }
    // Asterisk counts the ring time itself; we do in case that its word is lost.
    const silent = () => new RingTimeout(`no answer within ${ringTimeoutMs} ms`);
    await withinLimit(this.#answered.promise, ringTimeoutMs + ariTimeoutMs, silent, signal);
    await expectUsable(this.#ari, channelId);
  }
}
