import type { BadCode } from '../pipecat/dialect.ts';

/** Shortest time between two `error` events to the bot. */
export const ERROR_EVERY_MS = 1_000;

/** Counts a bot's refused messages, and decides how to react to one. */
export class BadMessages {
  readonly #maxInARow: number;
  readonly #counts = new Map<BadCode, number>();
  #inARow = 0;
  #lastErrorMs = Number.NEGATIVE_INFINITY;

  constructor(maxInARow: number) {
    this.#maxInARow = maxInARow;
  }

  /** Refused messages so far, by code. */
  get counts(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }

  /** Whether any message was refused with this code. */
  has(code: BadCode): boolean {
    return this.#counts.has(code);
  }

  /** A message was valid: the count of consecutive bad messages starts again. */
  understood(): void {
    this.#inARow = 0;
  }

  /**
   * A message was refused. Returns `tell` to send an `error` event, `pass-over` if the last one was
   * too recent, and `too-many` after too many consecutive ones.
   */
  refused(code: BadCode, nowMs: number): 'tell' | 'pass-over' | 'too-many' {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    this.#inARow += 1;
    if (this.#inARow > this.#maxInARow) return 'too-many';
    if (nowMs - this.#lastErrorMs < ERROR_EVERY_MS) return 'pass-over';
    this.#lastErrorMs = nowMs;
    return 'tell';
  }
}
