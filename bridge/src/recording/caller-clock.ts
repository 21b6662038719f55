// Window of the measurement. The two clocks drift by at most about 100 ppm: 0.5 ms in this time.
const WINDOW_MS = 5_000;

/**
 * Finds the offset between the caller's timeline and the bridge's clock. The network delays frames
 * and never makes them early. So the least delayed frames of the last seconds show the offset, and
 * follow the drift of the clocks.
 */
export class CallerClock {
  readonly #maxLateMs: number;
  /** Least lateness in this window and in the one before, ms. */
  #least = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  #windowEndMs = Number.NEGATIVE_INFINITY;

  /**
   * A frame later than all others by more than `maxLateMs` means that the caller's timeline stood
   * still.
   */
  constructor(maxLateMs: number) {
    this.#maxLateMs = maxLateMs;
  }

  /** Bridge time of the caller's time 0, ms; NaN before the first frame. */
  get originMs(): number {
    const least = Math.min(this.#least, this.#leastBefore);
    return Number.isFinite(least) ? least : Number.NaN;
  }

  /** Forgets all frames: the caller's timeline was interrupted. */
  restart(): void {
    this.#least = Number.POSITIVE_INFINITY;
    this.#leastBefore = Number.POSITIVE_INFINITY;
  }

  /**
   * The frame at `timestampMs` on the caller's timeline arrived at `atMs` of the bridge's clock.
   */
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
