/** Part of each group of test files: what a test leaves open keeps no process from ending. */
import { after } from 'node:test';

/** Sockets, threads and timers of the last tests have ended by then. */
const OPEN_MS = 10_000;

after(() => {
  const end = () => {
    console.error(`a test has left open: ${process.getActiveResourcesInfo().join()}`);
    process.exit(1);
  };
  setTimeout(end, OPEN_MS).unref();
});
