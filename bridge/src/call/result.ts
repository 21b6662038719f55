import type { MediaFigures } from '../media/session.ts';
import type { EndReason, EndTreatment } from './end-reason.ts';

/** What can change about a running call; its begin and its end are known to who runs it. */
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

/** How a call went, for the log, the metrics and the status callback. */
export interface CallResult {
  readonly reason: EndReason;
  readonly treatment: EndTreatment;
  /** Q.850 cause: the caller's where the caller hung up, ours otherwise. */
  readonly cause: number;
  /** Final SIP status of a callee who did not answer. */
  readonly sipStatus: number | undefined;
  readonly answered: boolean;
  /** Milliseconds from the offer (StasisStart) to each step that was reached. */
  readonly stepsMs: Readonly<Record<string, number>>;
  readonly figures: MediaFigures | undefined;
}

/** Where a call is in its life. */
export type CallState = 'setup' | 'active' | 'closing' | 'closed';
