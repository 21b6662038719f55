import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { MediaWorker } from './media-worker.ts';
import type { ToWorker, WorkerSettings } from './worker-messages.ts';

/** The thread of a media worker. */
const { settings, port = parentPort } = workerData as { settings: WorkerSettings; port?: MessagePort };
if (port === null) throw new Error('media-thread.ts is started as a worker thread only');
const worker = new MediaWorker(settings, (message) => port.postMessage(message));
port.on('message', (message: ToWorker) => void worker.handle(message));
