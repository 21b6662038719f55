import type { CallRecord } from '../records/record.ts';

/** What a call had before this process took it up, and Asterisk does not keep. */
export interface Adopted {
  /** The caller's channel, where it has taken the place of the call's first one. */
  readonly callerId?: string;
  /** The bot has had its `start`: it is told that it comes back to a call. */
  readonly metBot: boolean;
  readonly isHeld: boolean;
  readonly recordingFiles: readonly string[];
  readonly isRecordingPaused: boolean;
  readonly times: CallRecord['times'];
  /** The last transfer; one that was under way has ended with its process. */
  readonly transfer: CallRecord['transfer'];
  readonly transferBy: CallRecord['transferBy'];
}

/** What the record of a call under way says of it. */
export function adoptedFrom(before: CallRecord): Adopted {
  const { times, transfer, transferBy } = before;
  return {
    metBot: times.botReady !== undefined && times.answered !== undefined,
    isHeld: before.isHeld ?? false,
    recordingFiles:
      before.recordingFiles ?? (before.recordingFile === undefined ? [] : [before.recordingFile]),
    isRecordingPaused: before.isRecordingPaused ?? false,
    times,
    transferBy,
    transfer:
      transfer?.status === 'pending' ? { ...transfer, status: 'failed', reason: 'bridge-died' } : transfer,
  };
}
