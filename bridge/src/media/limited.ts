/** A promise that `done` resolves, or the time limit where that comes first. */
export function limited(limitMs: number): { readonly promise: Promise<void>; readonly done: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const limit = setTimeout(resolve, limitMs);
  const done = () => {
    clearTimeout(limit);
    resolve();
  };
  return { promise, done };
}
