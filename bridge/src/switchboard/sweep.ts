/** Unreadable events may come in bursts: one comparison runs for all of them, after this time. */
const SOON_MS = 1_000;

/** When a comparison with Asterisk runs: at an interval, and soon after something may be lost. */
export class Sweep {
  #everyMs: number;
  readonly #compare: () => void;
  #interval: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;

  constructor(everyMs: number, compare: () => void) {
    this.#everyMs = everyMs;
    this.#compare = compare;
  }

  start(): void {
    this.#interval = setInterval(this.#compare, this.#everyMs);
  }

  /** Another interval, from now on. */
  every(everyMs: number): void {
    if (everyMs === this.#everyMs) return;
    this.#everyMs = everyMs;
    if (this.#interval === undefined) return;
    clearInterval(this.#interval);
    this.start();
  }

  /** Compares within 1 s, once for all calls of this method until then. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#compare();
    }, SOON_MS);
  }

  stop(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
    clearTimeout(this.#soon);
  }
}
