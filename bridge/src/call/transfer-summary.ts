import type { TransferMode } from '../pipecat/dialect.ts';

/** State of a transfer. */
export const TRANSFER_STATUSES = ['pending', 'completed', 'failed'] as const;
export type TransferStatus = (typeof TRANSFER_STATUSES)[number];

/** A transfer as a record shows it. */
export interface TransferSummary {
  readonly to: string;
  readonly mode: TransferMode;
  readonly status: TransferStatus;
  /** Why it failed. */
  readonly reason?: string | undefined;
}
