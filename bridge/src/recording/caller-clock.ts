// The two clocks drift by some 100 ppm at most: within so long by half a millisecond.
const WINDOW_MS = 5_000;

/**
 * Finds where the caller's time lies in the bridge's. Frames come late by what the network makes of them, never early: the
 * least late ones of the last seconds tell how the two clocks stand, and follow them as they drift apart.
 */
export class CallerClock {
  readonly #maxLateMs: number;
  /** Least lateness in this window and in the one before, ms. */
  #least = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  #windowEndMs = Number.NEGATIVE_INFINITY;

  /** A frame later than all others by more than `maxLateMs` is not late: the caller's time stood still. */
  constructor(maxLateMs: number) {
    this.#maxLateMs = maxLateMs;
  }

  /** When the caller's time 0 was, in the bridge's, ms; NaN until a frame has come. */
  get originMs(): number {
    const least = Math.min(this.#least, this.#leastBefore);
    return Number.isFinite(least) ? least : Number.NaN;
  }

  /** Forgets all: the caller's time has been interrupted. */
  restart(): void {
    this.#least = Number.POSITIVE_INFINITY;
    this.#leastBefore = Number.POSITIVE_INFINITY;
  }

  /** The frame at `timestampMs` of the caller's time came at `atMs` of the bridge's. */
  arrived(timestampMs: number, atMs: number): void {
    const lateness = atMs - timestampMs;
    if (lateness - this.originMs > this.#maxLateMs) this.restart();
    if (atMs >= this.#windowEndMs) {
      this.#leastBefore = this.#least;
      this.#least = lateness;
      this.#windowEndMs = atMs + WINDOW_MS;
    } else {
      this.#least = Math.min(this.#least, lateness);
    }
  }
}
