import { MessageChannel, Worker } from 'node:worker_threads';
import type { MakeWorker } from '../src/media/make-worker.ts';
import type { FromWorker } from '../src/media/worker-messages.ts';

/** A thread that does not answer within this time hangs: it is ended. */
const ANSWER_MS = 500;

/** Threads that no worker uses. */
const idle: Worker[] = [];

/**
 * Makes media workers in threads that are used again: loading the code of a worker costs more CPU
 * than most tests. A worker that ends with open sessions leaves a thread that is not used again.
 */
export const makeWarmWorker: MakeWorker = (settings, { onMessage, onEnd }) => {
  const thread =
    idle.pop() ?? new Worker(new URL('./warm-media-thread.ts', import.meta.url), { name: 'media' });
  thread.ref();
  const { port1, port2 } = new MessageChannel();
  const ended = Promise.withResolvers<void>();
  let end = new Error('the thread ended');
  const onError = (error: Error) => {
    end = error;
  };
  const onExit = () => {
    port1.close();
    ended.resolve();
    onEnd(end);
  };
  thread.on('error', onError);
  thread.on('exit', onExit);
  const release = (left: number) => {
    clearTimeout(limit);
    if (left > 0) return void thread.terminate();
    thread.off('error', onError);
    thread.off('exit', onExit);
    thread.unref();
    idle.push(thread);
    ended.resolve();
    onEnd(end);
  };
  let limit: NodeJS.Timeout | undefined;
  port1.on('message', (message: FromWorker | { readonly left: number }) => {
    if ('left' in message) release(message.left);
    else onMessage(message);
  });
  thread.postMessage({ settings, port: port2 }, [port2]);
  return {
    postMessage: (message) => port1.postMessage(message),
    terminate: () => {
      port1.postMessage('end');
      limit = setTimeout(() => void thread.terminate(), ANSWER_MS);
      return ended.promise;
    },
  };
};
