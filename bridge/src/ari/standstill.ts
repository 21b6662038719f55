/** A pause of the process longer than this may have cost it its app, ms. */
const LIMIT_MS = 500;
const TICKS_PER_LIMIT = 4;

/**
 * Counts how often this process stood still: it was suspended, or its event loop was blocked.
 * Another process may have taken its calls meanwhile, and the word of that may still be unread.
 */
export class Standstill {
  readonly #limitMs: number;
  #count = 0;
  #lastMs = performance.now();
  #timer: NodeJS.Timeout | undefined;

  /** `heartbeatMs`: interval by which others see that this process lives. */
  constructor(heartbeatMs: number) {
    this.#limitMs = Math.min(LIMIT_MS, heartbeatMs);
  }

  /** Watches until {@link stop}. */
  start(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), this.#limitMs / TICKS_PER_LIMIT).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Number of pauses so far, also one that has ended just now. */
  get count(): number {
    this.#look();
    return this.#count;
  }

  #look(): void {
    const nowMs = performance.now();
    if (this.#timer !== undefined && nowMs - this.#lastMs > this.#limitMs) this.#count += 1;
    this.#lastMs = nowMs;
  }
}

/** Whether an app is still ours after a standstill. It is asked once after each. */
export class StillOurs {
  readonly #standstill: Standstill;
  readonly #ask: () => Promise<boolean>;
  #checked: number;
  #asking: Promise<boolean> | undefined;

  /** `ask`: reads whose the app is. */
  constructor(standstill: Standstill, ask: () => Promise<boolean>) {
    this.#standstill = standstill;
    this.#ask = ask;
    this.#checked = standstill.count;
  }

  /**
   * Undefined: this process has not stood still since it knew. Else resolves to whether the app is
   * ours. Rejects if Asterisk does not answer.
   */
  check(): Promise<boolean> | undefined {
    const { count } = this.#standstill;
    if (count === this.#checked) return undefined;
    this.#asking ??= this.#ask()
      .then((isOurs) => {
        if (isOurs) this.#checked = count;
        return isOurs;
      })
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }
}
