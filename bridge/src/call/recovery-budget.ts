/**
 * Recoveries of a call's media within the window. A call whose own data crashes workers must not
 * crash them for ever.
 */
const RECOVERIES_MAX = 2;
/**
 * A long call may outlive many faults that are not its own: an Asterisk that stands still now and
 * then closes its media socket each time.
 */
const WINDOW_MS = 60_000;

/** How often the media of a call may be opened anew. */
export class RecoveryBudget {
  readonly #atMs: number[] = [];

  /** Counts a recovery at this time, monotonic clock, ms. Returns whether it is allowed. */
  spend(nowMs: number): boolean {
    while (this.#atMs[0] !== undefined && nowMs - this.#atMs[0] >= WINDOW_MS) this.#atMs.shift();
    this.#atMs.push(nowMs);
    return this.#atMs.length <= RECOVERIES_MAX;
  }
}
