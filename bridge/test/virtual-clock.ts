import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Time that passes only when it is told to: what waits for minutes is tested in milliseconds. */
export class VirtualClock {
  nowMs = 0;
  readonly #timers = new Set<Timer>();
  #order = 0;

  /** Calls `fire` after `ms`. Returns a function that cancels it. */
  after(ms: number, fire: () => void): () => void {
    this.#order += 1;
    const timer = { atMs: this.nowMs + Math.max(0, ms), order: this.#order, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves the clock by `ms`, and runs each timer that is due and what follows from it. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await settled();
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#timers.delete(next);
      this.nowMs = next.atMs;
      next.fire();
      await settled();
    }
    this.nowMs = endMs;
  }

  #next(endMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs > endMs) continue;
      if (first === undefined || timer.atMs < first.atMs) first = timer;
    }
    return first;
  }
}

const clocks = new AsyncLocalStorage<VirtualClock>();
const real = { setTimeout, clearTimeout, setImmediate, delay: timers.setTimeout };
const takeBack = Symbol('take back');

/** Resolves when no promise has anything left to do: none of them waits for more than the clock. */
function settled(): Promise<void> {
  return new Promise((resolve) => real.setImmediate(resolve));
}

/**
 * Runs with timers (`setTimeout`, also of `node:timers/promises`) that follow this clock. All other
 * timers follow real time.
 */
export async function inVirtualTime<T>(clock: VirtualClock, run: () => Promise<T>): Promise<T> {
  return await clocks.run(clock, run);
}

function setVirtually(fire: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) {
  const clock = clocks.getStore();
  if (clock === undefined) return real.setTimeout(fire, ms, ...args);
  const timer = { [takeBack]: clock.after(ms, () => fire(...args)), unref: () => timer, ref: () => timer };
  return timer;
}

function clearVirtually(timer: unknown): void {
  const back = (timer as { [takeBack]?: () => void } | null | undefined)?.[takeBack];
  if (back === undefined) real.clearTimeout(timer as NodeJS.Timeout);
  else back();
}

function delayVirtually<T>(ms?: number, value?: T, options: { signal?: AbortSignal; ref?: boolean } = {}) {
  const clock = clocks.getStore();
  if (clock === undefined) return real.delay(ms, value, options);
  const { signal } = options;
  return new Promise<T | undefined>((resolve, reject) => {
    const abort = () => {
      back();
      reject(Object.assign(new Error('The operation was aborted'), { name: 'AbortError' }));
    };
    const back = clock.after(ms ?? 0, () => {
      signal?.removeEventListener('abort', abort);
      resolve(value);
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

Object.assign(globalThis, { setTimeout: setVirtually, clearTimeout: clearVirtually });
timers.setTimeout = delayVirtually as typeof timers.setTimeout;
// Else `import { setTimeout } from 'node:timers/promises'` would have the one of before.
syncBuiltinESMExports();
