/** How late the bridge's threads were since the last look. */
export interface Lateness {
  /** Mean delay of the event loop of call control, ms. */
  readonly loopMs: number;
  /** Share of the pacer's ticks that were late, in the worst media worker, percent. */
  readonly lateTicksPercent: number;
}

/** Limits of lateness. 0: no limit. */
export type OverloadLimits = Lateness;

/** Looks in a row above a limit, after which the bridge is overloaded: one look a second. */
const LATE_LOOKS = 3;
/** Looks in a row below {@link CALM_SHARE} of all limits, after which it is not any more. */
const CALM_LOOKS = 5;
const CALM_SHARE = 0.5;

/**
 * Decides from measured lateness whether the bridge is overloaded. It takes some looks to become
 * overloaded, and lower values for a longer time to recover: calls that are taken again at once
 * would bring the overload back.
 */
export class OverloadWatch {
  readonly #limits: OverloadLimits;
  #looks = 0;
  #isOverloaded = false;

  constructor(limits: OverloadLimits) {
    this.#limits = limits;
  }

  get isOverloaded(): boolean {
    return this.#isOverloaded;
  }

  /** Takes one look. Returns whether the bridge is overloaded. */
  look(lateness: Lateness): boolean {
    const share = this.#shareOfLimit(lateness);
    const turns = this.#isOverloaded ? share < CALM_SHARE : share >= 1;
    this.#looks = turns ? this.#looks + 1 : 0;
    if (this.#looks >= (this.#isOverloaded ? CALM_LOOKS : LATE_LOOKS)) {
      this.#isOverloaded = !this.#isOverloaded;
      this.#looks = 0;
    }
    return this.#isOverloaded;
  }

  /** The highest value, as a share of its limit. */
  #shareOfLimit({ loopMs, lateTicksPercent }: Lateness): number {
    const limits = this.#limits;
    const share = (value: number, limit: number) => (limit === 0 ? 0 : value / limit);
    return Math.max(share(loopMs, limits.loopMs), share(lateTicksPercent, limits.lateTicksPercent));
  }
}

/** Counters of one pacer. */
export interface Ticks {
  readonly ticks: number;
  readonly lateTicks: number;
}

/** Below this number of ticks a share says little. One call has 50 a second. */
const TICKS_MIN = 25;

/**
 * Share of late ticks between two readings of each worker's counters, in the worst worker, percent.
 * A worker that was replaced begins at zero: its counters are then the difference.
 */
export function lateTicksPercent(before: readonly Ticks[], now: readonly Ticks[]): number {
  const shares = now.map(({ ticks, lateTicks }, index) => {
    const old = before[index];
    const since = old === undefined || ticks < old.ticks ? { ticks: 0, lateTicks: 0 } : old;
    const count = ticks - since.ticks;
    return count < TICKS_MIN ? 0 : ((lateTicks - since.lateTicks) / count) * 100;
  });
  return Math.max(0, ...shares);
}
