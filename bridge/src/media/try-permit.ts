/** Waits until control lets a call try to connect to its bot. */
export class TryPermit {
  readonly #ask: () => void;
  #isGranted = false;
  #waiting: (() => void) | undefined;

  /** `ask`: asks control. */
  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** Resolves when the call may try, or on the signal. `isAsked`: control was asked before. */
  async wait(isAsked: boolean, signal: AbortSignal): Promise<void> {
    if (!isAsked) this.#ask();
    if (!this.#isGranted && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
      await promise;
    }
    this.#waiting = undefined;
    this.#isGranted = false;
  }

  /** Control's answer. */
  grant(): void {
    this.#isGranted = true;
    this.#waiting?.();
  }
}
