import { MessageChannel, Worker } from 'node:worker_threads';
import type { MakeWorker } from '../src/media/make-worker.ts';
import type { MakeStore } from '../src/records/make-store.ts';

/** A thread that does not answer within this time hangs: it is ended. */
const ANSWER_MS = 1_000;

interface Events<Notification> {
  onMessage(message: Notification): void;
  onEnd(error: Error): void;
}

/**
 * Makes workers in threads that are used again: loading the code of a worker costs more CPU than
 * most tests. A worker that ends with open sessions leaves a thread that is not used again.
 */
function warm<Settings, Request, Notification>(thread: URL, name: string) {
  /** Threads that no worker uses. */
  const idle = new Set<Worker>();

  /** A thread that is free, or a new one. */
  function take(): Worker {
    for (const free of idle) {
      idle.delete(free);
      return free;
    }
    const made = new Worker(thread, { name });
    made.once('exit', () => idle.delete(made));
    return made;
  }

  return (settings: Settings, { onMessage, onEnd }: Events<Notification>) => {
    const thread = take();
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
    port1.on('message', (message: Notification | { readonly left: number }) => {
      if (!(typeof message === 'object' && message !== null && 'left' in message)) return onMessage(message);
      if (isLate) return;
      if (message.left > 0) return void thread.terminate();
      thread.unref();
      idle.add(thread);
      finish();
    });
    thread.postMessage({ settings, port: port2 }, [port2]);
    return {
      postMessage: (message: Request) => port1.postMessage(message),
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
}

/** Media workers in threads that are used again. */
export const makeWarmWorker: MakeWorker = warm(new URL('./warm-media-thread.ts', import.meta.url), 'media');
/** Threads of the records that are used again. */
export const makeWarmStore: MakeStore = warm(new URL('./warm-store-thread.ts', import.meta.url), 'records');
