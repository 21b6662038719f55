import { type MessagePort, Worker } from 'node:worker_threads';
import type { FromWorker, ToWorker, WorkerSettings } from './worker-messages.ts';

/**
 * Young generation of a worker, MB (three times a semi-space). A worker's objects live for less
 * than a tick. So a small young generation is collected faster and stays in the CPU cache. Node's
 * own limit would let it grow with the number of calls.
 */
const YOUNG_GENERATION_MB = 6;

/** Sends requests to a worker, and ends it. */
export interface WorkerHandle {
  postMessage(message: ToWorker): void;
  /** Resolves when it has ended. */
  terminate(): Promise<unknown>;
}

/** Notifications of a worker. */
export interface WorkerEvents {
  onMessage(message: FromWorker): void;
  /** Its thread has ended, for any reason. No message follows. */
  onEnd(error: Error): void;
}

/** Makes a media worker. Throws if the system has no thread for it, or calls `onEnd`. */
export type MakeWorker = (settings: WorkerSettings, events: WorkerEvents) => WorkerHandle;

/** Starts a worker's thread. It uses `port` if there is one, else the port to this thread. */
export function startWorker(
  settings: WorkerSettings,
  onEnd: (error: Error) => void,
  port?: MessagePort,
): Worker {
  const worker = new Worker(new URL('./media-thread.ts', import.meta.url), {
    name: 'media',
    workerData: { settings, port },
    transferList: port === undefined ? [] : [port],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  let end = new Error('the thread ended');
  worker.on('error', (error: Error) => {
    end = error;
  });
  worker.on('exit', () => onEnd(end));
  return worker;
}

/** Makes a worker from this thread. It has this thread's priority. */
export const makeWorker: MakeWorker = (settings, { onMessage, onEnd }) =>
  startWorker(settings, onEnd).on('message', onMessage);
