import { parentPort } from 'node:worker_threads';
import { startWorker } from './make-worker.ts';
import type { NurseryRequest } from './worker-messages.ts';

/** The thread that starts media workers, ends them and reports their ends. */
parentPort?.on('message', ({ settings, port, life }: NurseryRequest) => {
  const tellEnd = (error: Error) => {
    life.postMessage(error.message);
    life.close();
  };
  try {
    const worker = startWorker(settings, tellEnd, port);
    life.on('message', () => void worker.terminate());
  } catch (error) {
    tellEnd(error as Error);
  }
});
