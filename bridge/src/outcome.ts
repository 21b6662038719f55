import type { CallbackFields } from './callback.ts';

/** What became of an outbound call (contract, section 3). */
export type Outcome =
  | 'answered'
  | 'busy'
  | 'no-answer'
  | 'rejected'
  | 'unreachable'
  | 'invalid-number'
  | 'failed'
  | 'cancelled';

/** Q.850 causes of a dial that was not answered. What is not here is `failed`. */
const OUTCOMES: Readonly<Record<number, Outcome>> = {
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

/** The outcome of a dial that failed, from the cause of its channel's end and the last `dialstatus` that ARI told. */
export function dialOutcome(cause: number, dialStatus: string): Outcome {
  if (dialStatus === 'BUSY') return 'busy';
  if (dialStatus === 'NOANSWER') return 'no-answer';
  // The ring time ran out: Asterisk gives no cause then.
  if (cause === 0) return 'no-answer';
  return OUTCOMES[cause] ?? 'failed';
}

/** The status callback's `status`, in the founding system's words. */
export function callbackStatus(outcome: Outcome): CallbackFields['status'] {
  if (outcome === 'answered') return 'completed';
  if (outcome === 'busy' || outcome === 'no-answer') return outcome;
  return 'error';
}
