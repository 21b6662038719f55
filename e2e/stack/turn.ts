/**
 * One stack at a time on a host: stacks share their ports, and each removes the containers of
 * others.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOCALHOST } from './ports.ts';

/** Whoever listens here has the turn. The system takes it back from a process that dies. */
const TURN_PORT = 28_099;
const LIMIT_MS = 15 * 60_000;
const POLL_MS = 250;

/** Waits until no other test process has a stack. Dispose of it to let the next one start. */
export async function takeTurn(): Promise<Disposable> {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    const server = await listen();
    if (server) return { [Symbol.dispose]: () => server.close() };
    if (Date.now() > deadline) throw new Error(`another run of the tests still has port ${TURN_PORT}`);
    await sleep(POLL_MS);
  }
}

async function listen(): Promise<Server | undefined> {
  const server = createServer();
  server.listen(TURN_PORT, LOCALHOST);
  try {
    await once(server, 'listening');
    return server.unref();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
}
