import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { MakeWorker } from './make-worker.ts';
import type { NurseryRequest } from './worker-messages.ts';

/**
 * Starts a thread that only starts media workers. A thread starts with the priority of the thread
 * that made it (clone(2)). Raising it needs a privilege (CAP_SYS_NICE, RLIMIT_NICE). So the nursery
 * starts before control lowers its own priority, and replacements of dead workers have the original
 * one. Its errors are not handled: one ends the process with all workers.
 */
export function openNursery(): MakeWorker {
  const nursery = new Worker(new URL('./nursery-thread.ts', import.meta.url), { name: 'nursery' });
  return (settings, { onMessage, onEnd }) => {
    const messages = new MessageChannel();
    const life = new MessageChannel();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    messages.port1.on('message', onMessage);
    life.port1.once('message', (reason: string) => {
      // The worker sent these messages before it ended.
      for (let last = receiveMessageOnPort(messages.port1); last; last = receiveMessageOnPort(messages.port1))
        onMessage(last.message);
      messages.port1.close();
      life.port1.close();
      resolve();
      onEnd(new Error(reason));
    });
    const wanted: NurseryRequest = { settings, port: messages.port2, life: life.port2 };
    nursery.postMessage(wanted, [messages.port2, life.port2]);
    return {
      postMessage: (message) => messages.port1.postMessage(message),
      terminate: () => {
        life.port1.postMessage('end');
        return ended;
      },
    };
  };
}
