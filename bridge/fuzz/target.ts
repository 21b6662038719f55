import type { IRawProperty } from 'fast-check';

/**
 * One property of what is parsed or computed from outside: `fuzz/NAME.ts` exports a list of them as
 * `targets`.
 */
export interface FuzzTarget {
  /** As it is called in reports: `rtp header`. */
  readonly name: string;
  /** A fast-check property whose runs are independent: it may be run millions of times. */
  readonly property: IRawProperty<unknown>;
}
