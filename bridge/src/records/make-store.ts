import { Worker } from 'node:worker_threads';
import type { FromStore, StoreSettings, ToStore } from './store-messages.ts';

/** Sends requests to the store's thread, and ends it. */
export interface StoreHandle {
  postMessage(message: ToStore): void;
  /** Resolves when it has ended. */
  terminate(): Promise<unknown>;
}

/** Notifications of the store's thread. */
export interface StoreEvents {
  onMessage(message: FromStore): void;
  /** Its thread has ended, for any reason. No message follows. */
  onEnd(error: Error): void;
}

/** Makes the store's thread. Throws if the system has no thread for it, or calls `onEnd`. */
export type MakeStore = (settings: StoreSettings, events: StoreEvents) => StoreHandle;

/** Makes a thread for the records. */
export const makeStore: MakeStore = (settings, { onMessage, onEnd }) => {
  const worker = new Worker(new URL('./store-thread.ts', import.meta.url), { workerData: settings });
  let end = new Error('the thread ended');
  worker.on('message', onMessage);
  worker.on('error', (error: Error) => {
    end = error;
  });
  worker.on('exit', () => onEnd(end));
  return worker;
};
