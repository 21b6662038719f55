import { CAUSE } from '../q850/causes.ts';
import type { CallResult } from './result.ts';

/** Outcomes of an outbound call (docs/OUTCOMES.md). */
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
/** Outcomes of a dial that was not answered. */
export type DialFailure = Exclude<Outcome, 'answered'>;

/** SIP statuses whose outcome differs from their class (RFC 3261 section 21 and later RFCs). */
const OUTCOME_OF_STATUS: Readonly<Record<number, DialFailure>> = {
  402: 'rejected',
  403: 'rejected',
  404: 'invalid-number',
  408: 'no-answer',
  410: 'invalid-number',
  430: 'unreachable',
  433: 'rejected',
  480: 'no-answer',
  482: 'unreachable',
  483: 'unreachable',
  484: 'invalid-number',
  485: 'invalid-number',
  486: 'busy',
  487: 'cancelled',
  501: 'failed',
  505: 'failed',
  513: 'failed',
  555: 'failed',
  580: 'failed',
  600: 'busy',
  604: 'invalid-number',
  606: 'failed',
};

/** Outcomes of all other statuses, by their first digit. */
const OUTCOME_OF_CLASS: Readonly<Record<number, DialFailure>> = {
  3: 'failed',
  4: 'failed',
  5: 'unreachable',
  6: 'rejected',
};

/** Outcomes of unanswered dials by Q.850 cause. All others are `failed`. */
const OUTCOME_OF_CAUSE: Readonly<Record<number, DialFailure>> = {
  // No cause: the ring time ran out.
  [CAUSE.notDefined]: 'no-answer',
  [CAUSE.unallocatedNumber]: 'invalid-number',
  [CAUSE.noRouteToTransitNetwork]: 'unreachable',
  [CAUSE.noRouteToDestination]: 'unreachable',
  [CAUSE.misdialledTrunkPrefix]: 'invalid-number',
  [CAUSE.normalClearing]: 'cancelled',
  [CAUSE.userBusy]: 'busy',
  [CAUSE.noUserResponding]: 'no-answer',
  [CAUSE.noAnswer]: 'no-answer',
  [CAUSE.subscriberAbsent]: 'unreachable',
  [CAUSE.callRejected]: 'rejected',
  [CAUSE.numberChanged]: 'invalid-number',
  [CAUSE.exchangeRoutingError]: 'unreachable',
  [CAUSE.destinationOutOfOrder]: 'unreachable',
  [CAUSE.invalidNumberFormat]: 'invalid-number',
  [CAUSE.noCircuitAvailable]: 'unreachable',
  [CAUSE.networkOutOfOrder]: 'unreachable',
  [CAUSE.temporaryFailure]: 'unreachable',
  [CAUSE.switchingCongestion]: 'unreachable',
  [CAUSE.requestedCircuitNotAvailable]: 'unreachable',
  [CAUSE.resourceUnavailable]: 'unreachable',
  [CAUSE.incomingCallsBarred]: 'rejected',
  [CAUSE.notMemberOfClosedUserGroup]: 'rejected',
  [CAUSE.recoveryOnTimerExpiry]: 'unreachable',
};

/**
 * The outcome of a failed dial. It follows from the callee's final SIP status, or without one from
 * the Q.850 cause of the channel's end. ARI's `dialstatus` is not used: it is NOANSWER for a 404 or
 * a 603 too.
 */
export function dialOutcome(cause: number, sipStatus?: number): DialFailure {
  const byStatus =
    sipStatus && (OUTCOME_OF_STATUS[sipStatus] ?? OUTCOME_OF_CLASS[Math.floor(sipStatus / 100)]);
  return byStatus || (OUTCOME_OF_CAUSE[cause] ?? 'failed');
}

/** The outcome of an ended outbound call. */
export function callOutcome({ answered, reason, treatment, cause, sipStatus }: CallResult): Outcome {
  if (answered) return 'answered';
  if (reason.kind === 'not-answered') return dialOutcome(cause, sipStatus);
  return treatment.by === 'operator' ? 'cancelled' : 'failed';
}
