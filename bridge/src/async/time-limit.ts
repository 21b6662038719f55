import { setTimeout as delay } from 'node:timers/promises';

/** The step's result, or a rejection with `late()` after `limitMs`; `signal` ends the wait with an `AbortError`. */
export async function withinLimit<T>(
  step: Promise<T>,
  limitMs: number,
  late: () => Error,
  signal?: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  const signals = signal === undefined ? [done.signal] : [done.signal, signal];
  const limit = delay(limitMs, undefined, { signal: AbortSignal.any(signals) }).then(() => {
    throw late();
  });
  return await Promise.race([step, limit]).finally(() => done.abort());
}
