/** Pauses of a series of tries, ms. */
export interface BackOffLimits {
  /** The first pause. */
  readonly firstMs: number;
  /** No pause is longer, jitter aside. */
  readonly mostMs: number;
}

/** Part of a pause that is random, so that calls that failed together do not try again together. */
const JITTER = 0.5;

/**
 * The pauses between tries: each is twice as long as the one before, up to a limit. A pause is
 * varied by up to a quarter in both directions.
 */
export class BackOff {
  readonly #limits: BackOffLimits;
  /** Number from 0 to 1, exclusive: `Math.random`. */
  readonly #random: () => number;
  #nextMs: number;

  constructor(limits: BackOffLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
    this.#nextMs = limits.firstMs;
  }

  /** The next pause, ms. */
  next(): number {
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(2 * pauseMs, this.#limits.mostMs);
    return Math.round(pauseMs * (1 - JITTER / 2 + JITTER * this.#random()));
  }

  /** The next pause is the first of a new series. */
  restart(): void {
    this.#nextMs = this.#limits.firstMs;
  }
}
