import type { PacerStats } from '../audio/pacer.ts';
import type { BridgeMessage } from '../pipecat/dialect.ts';
import type { RecordingStats } from '../recording/disk.ts';
import type { MediaErrorCode } from './media-error.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

/** What a media worker is started with: its share of the UDP ports. */
export interface WorkerSettings {
  readonly rtpPortMin: number;
  readonly rtpPortMax: number;
  /** Of its thread (nice). */
  readonly priority: number;
}

/** One request of the control thread to a worker: a method of `MediaSession`, as data. */
export type MediaRequest =
  | { readonly method: 'open'; readonly settings: MediaSettings }
  | { readonly method: 'connectRtp'; readonly address: string; readonly port: number }
  | { readonly method: 'connectSocket'; readonly url: string; readonly authorization: string }
  | { readonly method: 'record'; readonly state: 'pause' | 'resume' }
  | { readonly method: 'expectAudio'; readonly isExpected: boolean }
  | { readonly method: 'playedOut' }
  | { readonly method: 'tellBot' | 'dismissBot'; readonly message: BridgeMessage }
  | {
      readonly method:
        | 'connectBot'
        | 'botSettled'
        | 'startRelay'
        | 'lineLives'
        | 'hangUp'
        | 'drain'
        | 'figures'
        | 'close';
    };

/** To a worker. `id` 0 wants no reply. */
export interface ToWorker {
  readonly id: number;
  readonly session: number;
  readonly request: MediaRequest;
}

/** From a worker. */
export type FromWorker =
  | { readonly type: 'reply'; readonly id: number; readonly value: unknown }
  | {
      readonly type: 'failure';
      readonly id: number;
      readonly code: MediaErrorCode;
      readonly message: string;
    }
  | { readonly type: 'event'; readonly session: number; readonly event: MediaEvent; readonly hasBot: boolean }
  | { readonly type: 'stats'; readonly stats: WorkerStats };

/** A worker's figures since it started. */
export interface WorkerStats {
  readonly pacer: PacerStats;
  readonly recording: RecordingStats;
  /** On RTP ports, from somebody that no call expected, or too long to be RTP. */
  readonly datagramsRefused: number;
  /** Garbage collections of its heap, ms. */
  readonly collections: { readonly count: number; readonly totalMs: number; readonly longestMs: number };
  readonly heapBytes: number;
}
