import { setTimeout as delay } from 'node:timers/promises';

/**
 * The result of `step`, or a rejection with `late()` after `limitMs`. `signal` rejects the wait
 * with an `AbortError`.
 */
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

/** A promise that resolves when `done` is called, or after `limitMs`. */
export function doneWithin(limitMs: number): { readonly promise: Promise<void>; readonly done: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const limit = setTimeout(resolve, limitMs);
  const done = () => {
    clearTimeout(limit);
    resolve();
  };
  return { promise, done };
}
