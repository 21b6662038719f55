import type { TransferSummary } from './transfer-summary.ts';

/** When a call reached each step: ISO 8601, UTC. */
export interface CallTimes {
  readonly offered: string;
  readonly botReady?: string | undefined;
  readonly answered?: string | undefined;
  readonly firstCallerAudio?: string | undefined;
  readonly firstBotAudio?: string | undefined;
  readonly ended?: string | undefined;
}

/** What a call had before this process took it up, and Asterisk does not keep. */
export interface Adopted {
  /** The caller's channel, where it has taken the place of the call's first one. */
  readonly callerId?: string;
  /** The bot has had its `start`: it is told that it comes back to a call. */
  readonly metBot: boolean;
  readonly isHeld: boolean;
  readonly recordingFiles: readonly string[];
  readonly isRecordingPaused: boolean;
  readonly times: CallTimes;
  /** The last transfer; one that was under way has ended with its process. */
  readonly transfer: TransferSummary | undefined;
  readonly transferBy: 'bot' | 'operator' | undefined;
}
