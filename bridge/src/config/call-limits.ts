/** What a provider's file allows for outbound calls. */
export interface CallLimits {
  /** Concurrent calls, counted from dial to end. 0: only the bridge's own limit applies. */
  readonly maxCalls: number;
  /** New calls per second. May be a fraction. */
  readonly callsPerSecond: number;
}

/** One rate limiter per provider, shared by all ways of placing a call. */
export class CallRates {
  readonly #rates = new Map<string, CallRate>();

  /** Takes a permit for one call to this provider. Returns 0, or the ms until one is free. */
  take({ name, limits }: { readonly name: string; readonly limits: CallLimits }, nowMs: number): number {
    const rate = this.#rates.get(name) ?? new CallRate(limits.callsPerSecond);
    this.#rates.set(name, rate);
    rate.perSecond = limits.callsPerSecond;
    return rate.take(nowMs);
  }
}

/**
 * Token bucket for calls per second. It holds at least one permit, at most those of one second, and
 * fills steadily. The clock is an argument, in ms.
 */
export class CallRate {
  #perSecond: number;
  #permits: number;
  #filledMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#permits = this.#capacity;
  }

  /** Another rate, from now on. Permits that were taken stay taken. */
  set perSecond(perSecond: number) {
    this.#perSecond = perSecond;
  }

  get #capacity(): number {
    return Math.max(1, this.#perSecond);
  }

  /** Takes a permit. Returns 0, or the ms until one is free. */
  take(nowMs: number): number {
    const gained = ((nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#permits = Math.min(this.#capacity, this.#permits + gained);
    this.#filledMs = nowMs;
    if (this.#permits < 1) return Math.ceil(((1 - this.#permits) / this.#perSecond) * 1000);
    this.#permits -= 1;
    return 0;
  }
}
