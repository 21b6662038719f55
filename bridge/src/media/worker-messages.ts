import type { MessagePort } from 'node:worker_threads';
import type { PacerStats } from '../audio/pacer.ts';
import type { BridgeMessage, RecordingRequest } from '../pipecat/dialect.ts';
import type { RecordingStats } from '../recording/disk.ts';
import type { MediaErrorCode } from './media-error.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

/** Settings of a media worker: its share of the UDP ports. */
export interface WorkerSettings {
  readonly rtpPortMin: number;
  readonly rtpPortMax: number;
  /** Priority of its thread (nice value). */
  readonly priority: number;
}

/** A request of the control thread to a worker: a method of `MediaSession`, as data. */
export type MediaRequest =
  | { readonly method: 'open'; readonly settings: MediaSettings }
  | { readonly method: 'connectRtp'; readonly address: string; readonly port: number }
  | { readonly method: 'connectSocket'; readonly url: string; readonly authorization: string }
  | { readonly method: 'record'; readonly state: RecordingRequest }
  | { readonly method: 'expectAudio'; readonly isExpected: boolean }
  | { readonly method: 'playedOut' }
  /** `mayTry`: the first try may begin. Else the method `mayTry` follows. */
  | { readonly method: 'connectBot'; readonly mayTry: boolean }
  | { readonly method: 'tellBot' | 'dismissBot'; readonly message: BridgeMessage }
  | {
      readonly method:
        | 'mayTry'
        | 'botSettled'
        | 'startRelay'
        | 'lineLives'
        | 'hangUp'
        | 'drain'
        | 'figures'
        | 'close';
    };

/** Message to a worker. `id` 0: no reply. */
export interface ToWorker {
  readonly id: number;
  readonly session: number;
  readonly request: MediaRequest;
}

/** Message from a worker. */
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

/** Counters of a worker since it started. */
export interface WorkerStats {
  readonly pacer: PacerStats;
  readonly recording: RecordingStats;
  /** Datagrams dropped on RTP ports: from a source that no call expects, or too long to be RTP. */
  readonly datagramsRefused: number;
  /** Garbage collections of its heap, ms. */
  readonly collections: { readonly count: number; readonly totalMs: number; readonly longestMs: number };
  readonly heapBytes: number;
}

/** Request to the nursery's thread: start a worker. */
export interface NurseryRequest {
  readonly settings: WorkerSettings;
  /** Port of the worker, for direct messages between it and control. */
  readonly port: MessagePort;
  /**
   * Port of the nursery for this worker. Any message to it ends the worker. It sends the reason
   * when the worker has ended.
   */
  readonly life: MessagePort;
}
