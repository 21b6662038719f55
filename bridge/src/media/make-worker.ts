import { type MessagePort, Worker } from 'node:worker_threads';
import type { FromWorker, ToWorker, WorkerSettings } from './worker-messages.ts';

/**
 * Young generation of a worker, MB (three times a semi-space). What it makes is dead within a tick, so a small one is swept as well,
 * sooner, and stays in the cache; Node's own limit lets it grow with the calls.
 */
const YOUNG_GENERATION_MB = 6;

/** What a worker is told, and how it is ended. */
export interface WorkerHandle {
  postMessage(message: ToWorker): void;
  /** Resolves when it has ended. */
  terminate(): Promise<unknown>;
}

/** What is heard of a worker. */
export interface WorkerEvents {
  onMessage(message: FromWorker): void;
  /** Its thread has ended, for whatever reason; nothing is heard of it any more. */
  onEnd(error: Error): void;
}

/** Makes a media worker. May throw where the system has no thread for it; or `onEnd` says so. */
export type MakeWorker = (settings: WorkerSettings, events: WorkerEvents) => WorkerHandle;

/** Starts a worker's thread. It speaks by `port` where there is one, and else with the thread that starts it. */
export function startWorker(
  settings: WorkerSettings,
  onEnd: (error: Error) => void,
  port?: MessagePort,
): Worker {
  const worker = new Worker(new URL('./media-worker.ts', import.meta.url), {
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

/** Makes a worker in this thread: it begins with this thread's priority. */
export const makeWorker: MakeWorker = (settings, { onMessage, onEnd }) =>
  startWorker(settings, onEnd).on('message', onMessage);
