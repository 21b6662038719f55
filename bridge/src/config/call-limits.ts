/** What a provider's file allows of calls that we place. */
export interface CallLimits {
  /** Calls at a time, from dial to end; 0: no limit but the bridge's. */
  readonly maxCalls: number;
  /** Calls that begin in a second; may be a fraction. */
  readonly callsPerSecond: number;
}

/** The providers' rates of the calls that we place: of all ways of placing them together. */
export class CallRates {
  readonly #rates = new Map<string, CallRate>();

  /** A call to this provider is about to begin. Returns 0, or the ms until one may. */
  take({ name, limits }: { readonly name: string; readonly limits: CallLimits }, nowMs: number): number {
    const rate = this.#rates.get(name) ?? new CallRate(limits.callsPerSecond);
    this.#rates.set(name, rate);
    return rate.take(nowMs);
  }
}

/**
 * How many calls a second: a bucket of permits (at least one, at most a second's worth) that fills steadily. Takes the clock as an
 * argument, ms.
 */
export class CallRate {
  readonly #perSecond: number;
  readonly #capacity: number;
  #permits: number;
  #filledMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#capacity = Math.max(1, perSecond);
    this.#permits = this.#capacity;
  }

  /** Takes a permit. Returns 0, or the ms until there is one. */
  take(nowMs: number): number {
    const gained = ((nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#permits = Math.min(this.#capacity, this.#permits + gained);
    this.#filledMs = nowMs;
    if (this.#permits < 1) return Math.ceil(((1 - this.#permits) / this.#perSecond) * 1000);
    this.#permits -= 1;
    return 0;
  }
}
