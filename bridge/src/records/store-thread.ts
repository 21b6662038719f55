import { parentPort, workerData } from 'node:worker_threads';
import type { StoreSettings, ToStore } from './store-messages.ts';
import { StoreWorker } from './store-worker.ts';

/** The store's thread. */
const port = parentPort;
if (port === null) throw new Error('store-thread.ts is started as a worker thread only');
const worker = new StoreWorker(workerData as StoreSettings, (message) => port.postMessage(message));
port.on('message', (message: ToStore) => worker.handle(message));
