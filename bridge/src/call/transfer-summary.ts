/** State of a transfer. */
export type TransferStatus = 'pending' | 'completed' | 'failed';

/** A transfer as a record shows it. */
export interface TransferSummary {
  readonly to: string;
  readonly mode: 'blind' | 'dialplan';
  readonly status: TransferStatus;
  /** Why it failed. */
  readonly reason?: string | undefined;
}
