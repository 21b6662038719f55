import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { MakeWorker } from './make-worker.ts';
import type { WorkerSettings } from './worker-messages.ts';

/** To the nursery's thread: a worker that is wanted. */
export interface Wanted {
  readonly settings: WorkerSettings;
  /** The worker's: what it and control say goes no detour. */
  readonly port: MessagePort;
  /** The nursery's: any message ends the worker, and its end is told by one, the reason. */
  readonly life: MessagePort;
}

/**
 * Starts a thread that makes media workers and does nothing else. A thread begins with the priority of the one that makes it (clone(2)),
 * and only who has a right to (CAP_SYS_NICE, RLIMIT_NICE) raises it: so this one is started before control lowers its own, and those
 * that are made later begin like the first. It has no error of its own: one that it has all the same ends the process, and it all workers.
 */
export function openNursery(): MakeWorker {
  const nursery = new Worker(new URL('./nursery-thread.ts', import.meta.url), { name: 'nursery' });
  return (settings, { onMessage, onEnd }) => {
    const talk = new MessageChannel();
    const life = new MessageChannel();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    talk.port1.on('message', onMessage);
    life.port1.once('message', (reason: string) => {
      // It said this before it ended.
      for (let last = receiveMessageOnPort(talk.port1); last; last = receiveMessageOnPort(talk.port1))
        onMessage(last.message);
      talk.port1.close();
      life.port1.close();
      resolve();
      onEnd(new Error(reason));
    });
    const wanted: Wanted = { settings, port: talk.port2, life: life.port2 };
    nursery.postMessage(wanted, [talk.port2, life.port2]);
    return {
      postMessage: (message) => talk.port1.postMessage(message),
      terminate: () => {
        life.port1.postMessage('end');
        return ended;
      },
    };
  };
}
