import { createHash } from 'node:crypto';
import type { AriClient } from '../ari/client.ts';
import { AriError } from '../ari/requests.ts';
import { withinLimit } from '../async/time-limit.ts';
import { expectUsable } from './usable-answer.ts';

/** Prefix of channels that we create for callees. */
export const DIAL_ID_PREFIX = 'pc-';

/**
 * The channel id for a call id. It depends on the call id only, so that Asterisk refuses the second
 * channel of a repeated order.
 */
export function dialChannelId(callId: string): string {
  return `${DIAL_ID_PREFIX}${createHash('sha256').update(callId).digest('hex').slice(0, 32)}`;
}

/** Time limits of a dial. */
export interface DialSettings {
  readonly ringTimeoutMs: number;
  /** Time limit of each step in Asterisk. */
  readonly ariTimeoutMs: number;
}

/** The callee did not answer in time, and Asterisk did not report it. */
export class RingTimeout extends Error {
  override name = 'RingTimeout';
  readonly code = 'ring-timeout';
}

/**
 * One outbound dial of ours, on a channel created for it. The callee who answers becomes the caller
 * of a call.
 */
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

  /** Whether the dial was cancelled. Set before there is a call that could be ended. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Whether the ring time is over. A callee who has not answered then counts as not answered. */
  get isOverdue(): boolean {
    return performance.now() >= this.#ringsUntilMs;
  }

  /** Cancels the dial. */
  cancel(): void {
    this.#cancelled = true;
  }

  /** ARI: the channel is in our app and can be dialled. */
  entered(): void {
    this.#hasEntered = true;
    this.#entered.resolve();
  }

  /** Whether the channel is known to be in our app. */
  get hasEntered(): boolean {
    return this.#hasEntered;
  }

  /** ARI: the callee's phone rings. Returns true the first time. */
  markRinging(): boolean {
    const isNews = !this.#ringing;
    this.#ringing = true;
    return isNews;
  }

  /** ARI: the callee has answered. Not called for early media. */
  answered(): void {
    this.#answered.resolve();
  }

  /**
   * Dials and waits for a usable answer. Rejects with `UnusableAnswer`, with {@link RingTimeout},
   * or with an {@link AriError} if Asterisk refuses. Other failures are reported by the channel's
   * end; `signal` then ends the wait.
   */
  async run(channelId: string, signal: AbortSignal): Promise<void> {
    const { ringTimeoutMs, ariTimeoutMs } = this.#settings;
    const late = () => new Error('the channel did not enter Stasis in time');
    await withinLimit(this.#entered.promise, ariTimeoutMs, late, signal);
    // A cancelled dial must not make the phone ring.
    signal.throwIfAborted();
    this.#ringsUntilMs = performance.now() + ringTimeoutMs;
    try {
      await this.#ari.dial(channelId, Math.ceil(ringTimeoutMs / 1000));
    } catch (error) {
      // Without a reply the phone may ring anyway. A second dial could send a second INVITE.
      if (!(error instanceof AriError) || error.status !== 0) throw error;
    }
    // Asterisk limits the ring time itself. This limit is for a lost event.
    const silent = () => new RingTimeout(`no answer within ${ringTimeoutMs} ms`);
    await withinLimit(this.#answered.promise, ringTimeoutMs + ariTimeoutMs, silent, signal);
    await expectUsable(this.#ari, channelId);
  }
}
