import { MessageChannel, Worker } from 'node:worker_threads';
import type { MakeWorker } from '../src/media/make-worker.ts';
import type { FromWorker } from '../src/media/worker-messages.ts';

/** A thread that does not answer within this time hangs: it is ended. */
const ANSWER_MS = 1_000;

/** Threads that no worker uses. */
const idle = new Set<Worker>();

/** A thread that is free, or a new one. */
function takeThread(): Worker {
  for (const thread of idle) {
    idle.delete(thread);
    return thread;
  }
  const thread = new Worker(new URL('./warm-media-thread.ts', import.meta.url), { name: 'media' });
  thread.once('exit', () => idle.delete(thread));
  return thread;
}

/**
 * Makes media workers in threads that are used again: loading the code of a worker costs more CPU
 * than most tests. A worker that ends with open sessions leaves a thread that is not used again.
 */
export const makeWarmWorker: MakeWorker = (settings, { onMessage, onEnd }) => {
  const thread = takeThread();
  thread.ref();
  const { port1, port2 } = new MessageChannel();
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let limit: NodeJS.Timeout | undefined;
  let isLate = false;
  let end = new Error('the thread ended');
  const onError = (error: Error) => {
    end = error;
  };
  const finish = () => {
    clearTimeout(limit);
    port1.close();
    thread.off('error', onError);
    thread.off('exit', finish);
    resolve();
    onEnd(end);
  };
  thread.on('error', onError);
  thread.on('exit', finish);
  port1.on('message', (message: FromWorker | { readonly left: number }) => {
    if (!('left' in message)) return onMessage(message);
    if (isLate) return;
    if (message.left > 0) return void thread.terminate();
    thread.unref();
    idle.add(thread);
    finish();
  });
  thread.postMessage({ settings, port: port2 }, [port2]);
  return {
    postMessage: (message) => port1.postMessage(message),
    terminate: () => {
      if (limit === undefined) {
        port1.postMessage('end');
        limit = setTimeout(() => {
          isLate = true;
          void thread.terminate();
        }, ANSWER_MS);
      }
      return ended;
    },
  };
};
