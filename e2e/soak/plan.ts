/** What a soak run does, from its seed alone. Pure. */
import { ACT_KINDS, type ActKind, CALL_KINDS, type CallKind } from './kinds.ts';
import { Dice } from './random.ts';

/** What a run is asked for. */
export interface SoakOptions {
  readonly minutes: number;
  /** Calls at a time. */
  readonly calls: number;
  readonly seed: number;
}

/** One call of a telephone line: the lines go on at the same time, each with one call at a time. */
export interface PlannedCall {
  /** Unique, and the call's id: line and number. */
  readonly id: string;
  readonly kind: CallKind;
  /** Before it, since the line's last call has ended, ms. */
  readonly pauseMs: number;
  /** From the answer to the hang-up of our telephone, where nothing else ends it, ms. */
  readonly talkMs: number;
  /** From the answer to what it does, or how long a callee's phone rings, ms. */
  readonly deedMs: number;
  readonly ringMs: number;
}

/** One act. The next one follows when it is over and everything works again. */
export interface PlannedAct {
  readonly kind: ActKind;
  readonly pauseMs: number;
  readonly lastsMs: number;
  /** A number by which one of the calls that are up is chosen. */
  readonly choice: number;
}

/** Rounds of all acts, of which only the first has those that replace the process. */
const ROUNDS = 8;
const LONG_CALL_ONE_IN = 12;

/** The calls of one line, without end. */
export function* callsOf(line: number, { seed }: SoakOptions): Generator<PlannedCall, never> {
  const dice = new Dice(seed).fork(`line ${line}`);
  for (let number = 1; ; number++) {
    const kind = dice.weighted(CALL_KINDS);
    const talkMs =
      dice.below(LONG_CALL_ONE_IN) === 0 ? dice.between(30_000, 90_000) : dice.between(2_000, 25_000);
    yield {
      id: `soak-${seed}-${line}-${number}`,
      kind,
      pauseMs: dice.between(0, 3_000),
      talkMs,
      deedMs: dice.between(300, Math.min(talkMs, 4_000)),
      ringMs: dice.between(0, 2_000),
    };
  }
}

/**
 * The acts, without end. Each round has every kind in a new order. A process lives for several
 * rounds, so that its memory can be watched.
 */
export function* actsOf({ seed }: SoakOptions): Generator<PlannedAct, never> {
  const dice = new Dice(seed).fork('acts');
  for (let round = 0; ; round++) {
    const kinds = ACT_KINDS.filter(({ replaces }) => !replaces || round % ROUNDS === 0);
    for (const kind of dice.shuffled(kinds))
      yield {
        kind,
        pauseMs: dice.between(1_500, 5_000),
        lastsMs: dice.between(kind.minMs, kind.maxMs),
        choice: dice.below(2 ** 20),
      };
  }
}

/** How many acts there are in the first round. */
export const ACTS_A_ROUND = ACT_KINDS.length;
