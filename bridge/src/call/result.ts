import type { MediaFigures } from '../media/session.ts';
import type { EndReason, EndTreatment } from './end-reason.ts';

/** Changes of a running call. Its begin and end are reported by whoever runs it. */
export type CallChange =
  | 'answered'
  | 'active'
  | 'closing'
  | 'hold'
  | 'recording'
  | 'unhold'
  | 'transfer-started'
  | 'transfer-failed'
  | 'transfer-completed';

/** How a call ended, for the log, the metrics and the status callback. */
export interface CallResult {
  readonly reason: EndReason;
  readonly treatment: EndTreatment;
  /** Q.850 cause: the caller's if the caller hung up, ours otherwise. */
  readonly cause: number;
  /** Final SIP status of a callee who did not answer. */
  readonly sipStatus: number | undefined;
  readonly answered: boolean;
  /** Ms from the offer (StasisStart) to each step that was reached. */
  readonly stepsMs: Readonly<Record<string, number>>;
  readonly figures: MediaFigures | undefined;
}

/** A call's state. */
export type CallState = 'setup' | 'active' | 'closing' | 'closed';
