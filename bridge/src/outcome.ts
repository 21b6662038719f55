import type { CallResult } from './call.ts';
import type { CallbackFields } from './callback.ts';

/** What may become of an outbound call (contract, section 3). */
export const OUTCOMES = [
  'answered',
  'busy',
  'no-answer',
  'rejected',
  'unreachable',
  'invalid-number',
  'failed',
  'cancelled',
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** Q.850 causes of a dial that was not answered. What is not here is `failed`. */
const OUTCOME_OF_CAUSE: Readonly<Record<number, Outcome>> = {
  1: 'invalid-number',
  3: 'unreachable',
  16: 'cancelled',
  17: 'busy',
  18: 'no-answer',
  19: 'no-answer',
  20: 'unreachable',
  21: 'rejected',
  22: 'invalid-number',
  27: 'unreachable',
  28: 'invalid-number',
  34: 'unreachable',
  38: 'unreachable',
  41: 'unreachable',
  42: 'unreachable',
};

/**
 * The outcome of a dial that failed, from the Q.850 cause of its channel's end. The `dialstatus` of ARI is no help: it says
 * NOANSWER for a 404 or a 603 too. Cause 0, no cause at all, is a ring time that ran out.
 */
export function dialOutcome(cause: number): Outcome {
  return cause === 0 ? 'no-answer' : (OUTCOME_OF_CAUSE[cause] ?? 'failed');
}

/** The outcome of an outbound call that has ended. */
export function callOutcome({ answered, reason, treatment, cause }: CallResult): Outcome {
  if (answered) return 'answered';
  if (reason.kind === 'not-answered') return dialOutcome(cause);
  return treatment.by === 'operator' ? 'cancelled' : 'failed';
}

/** The status callback's `status`, in the founding system's words. */
export function callbackStatus(outcome: Outcome): CallbackFields['status'] {
  if (outcome === 'answered') return 'completed';
  if (outcome === 'busy' || outcome === 'no-answer') return outcome;
  return 'error';
}
