/**
 * Result of a step. `advice` is not a failure. `skip`: the step did not apply, or was not reached.
 */
export type Verdict = 'pass' | 'advice' | 'fail' | 'skip';

/** One line of the report. */
export interface Finding {
  readonly step: string;
  readonly verdict: Verdict;
  readonly detail: string;
  readonly advice?: string | undefined;
}

/** What a step found. `ok`: undefined where there was nothing to judge. */
export interface Outcome {
  readonly ok: boolean | undefined;
  readonly detail: string;
  /** What the bot's author may do; given with `ok`, it lessens a pass to an advice. */
  readonly advice?: string;
}

/** The finding of a step: what is required fails, what is not is advised. */
export function finding(step: string, isRequired: boolean, { ok, detail, advice }: Outcome): Finding {
  return { step, verdict: verdictOf(isRequired, ok, advice !== undefined), detail, advice };
}

function verdictOf(isRequired: boolean, ok: boolean | undefined, hasAdvice: boolean): Verdict {
  if (ok === undefined) return 'skip';
  if (ok) return hasAdvice ? 'advice' : 'pass';
  return isRequired ? 'fail' : 'advice';
}

/** A time for people: `71 ms`, `7.2 s`. */
export function time(ms: number): string {
  return Math.abs(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
