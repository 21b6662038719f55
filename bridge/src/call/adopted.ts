import type { Requester } from './end-reason.ts';
import type { TransferSummary } from './transfer-summary.ts';

/** The time of each step of a call: ISO 8601, UTC. */
export interface CallTimes {
  readonly offered: string;
  readonly botReady?: string | undefined;
  readonly answered?: string | undefined;
  readonly firstCallerAudio?: string | undefined;
  readonly firstBotAudio?: string | undefined;
  readonly ended?: string | undefined;
}

/** State of an adopted call that Asterisk does not keep. It comes from the call's record. */
export interface Adopted {
  /** The caller's current channel, if it has replaced the call's first one. */
  readonly callerId?: string;
  /** The bot has received `start` before: it is told that it rejoins a call. */
  readonly metBot: boolean;
  readonly isHeld: boolean;
  readonly recordingFiles: readonly string[];
  readonly isRecordingPaused: boolean;
  readonly times: CallTimes;
  /** The last transfer. One that was pending failed when its process died. */
  readonly transfer: TransferSummary | undefined;
  readonly transferBy: Requester | undefined;
}
