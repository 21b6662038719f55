import { type MessagePort, parentPort } from 'node:worker_threads';

/** A worker in a warm thread. */
interface Served<Request> {
  handle(message: Request): unknown;
  /** Ends it. What it leaves open makes the thread useless for another worker. */
  close(): number;
}

/** In a thread of `warm-workers.ts`: one worker after the other. */
export function serve<Settings, Request, Notification>(
  make: (settings: Settings, tell: (message: Notification) => void) => Served<Request>,
): void {
  parentPort?.on('message', ({ settings, port }: { settings: Settings; port: MessagePort }) => {
    const worker = make(settings, (message) => port.postMessage(message));
    port.on('message', (message: Request | 'end') => {
      if (message !== 'end') return void worker.handle(message);
      port.postMessage({ left: worker.close() });
      port.close();
    });
  });
}
