import type { BadCode } from '../pipecat/dialect.ts';

/** An `error` event to the bot at most this often. */
export const ERROR_EVERY_MS = 1_000;

/** Counts a bot's messages that could not be understood, and says what is to be done about one. */
export class BadMessages {
  readonly #maxInARow: number;
  readonly #counts = new Map<BadCode, number>();
  #inARow = 0;
  #lastErrorMs = Number.NEGATIVE_INFINITY;

  constructor(maxInARow: number) {
    this.#maxInARow = maxInARow;
  }

  /** So far, by what was wrong. */
  get counts(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }

  /** Whether anything was refused for this. */
  has(code: BadCode): boolean {
    return this.#counts.has(code);
  }

  /** A message was understood. */
  understood(): void {
    this.#inARow = 0;
  }

  /** A message was not: the bot is to be told, or not again so soon, or there were too many in a row. */
  refused(code: BadCode, nowMs: number): 'tell' | 'pass-over' | 'too-many' {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    this.#inARow += 1;
    if (this.#inARow > this.#maxInARow) return 'too-many';
    if (nowMs - this.#lastErrorMs < ERROR_EVERY_MS) return 'pass-over';
    this.#lastErrorMs = nowMs;
    return 'tell';
  }
}
