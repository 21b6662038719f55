/** The thread of `warm-workers.ts`: one media worker after the other. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { MediaWorker } from '../src/media/media-worker.ts';
import type { ToWorker, WorkerSettings } from '../src/media/worker-messages.ts';

parentPort?.on('message', ({ settings, port }: { settings: WorkerSettings; port: MessagePort }) => {
  const worker = new MediaWorker(settings, (message) => port.postMessage(message));
  port.on('message', (message: ToWorker | 'end') => {
    if (message !== 'end') return void worker.handle(message);
    port.postMessage({ left: worker.close() });
    port.close();
  });
});
