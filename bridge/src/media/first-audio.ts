/** What follows if a bot is not heard in time. */
export interface FirstAudioHooks {
  /** Whether the bot was heard, acted or hung up: then it is not silent. */
  readonly isPresent: () => boolean;
  /** The bot was not heard. `isOwed`: it should have spoken first. */
  readonly silent: (detail: string, isOwed: boolean) => void;
  /** Connects the bot once more. */
  readonly renew: (detail: string) => void;
  /** The bot was not heard after the second connection either. */
  readonly failed: (detail: string) => void;
}

/**
 * Finds a bot that accepts the call and says nothing. One that should speak first is connected once
 * more, then given up. Another may wait for the caller: that is only reported.
 */
export class FirstAudio {
  readonly #limitMs: number;
  readonly #isOwed: boolean;
  readonly #hooks: FirstAudioHooks;
  readonly #now: () => number;
  /** What is left of the limit: a bot that is lost and comes back does not begin anew. */
  #leftMs: number;
  #startedMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSecond = false;

  /**
   * `limitMs`: time connected, from `start`. `isOwed`: the bot should speak first. `now`: monotonic
   * clock, ms.
   */
  constructor(limitMs: number, isOwed: boolean, hooks: FirstAudioHooks, now: () => number) {
    this.#limitMs = limitMs;
    this.#leftMs = limitMs;
    this.#now = now;
    this.#isOwed = isOwed;
    this.#hooks = hooks;
  }

  /** The bot was sent `start`. */
  started(): void {
    this.stop();
    if (this.#hooks.isPresent()) return;
    this.#startedMs = this.#now();
    this.#timer = setTimeout(() => this.#isOver(), this.#leftMs);
  }

  /** The connection is lost or closed. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#startedMs === undefined) return;
    this.#leftMs = Math.max(0, this.#leftMs - (this.#now() - this.#startedMs));
    this.#startedMs = undefined;
  }

  #isOver(): void {
    this.#startedMs = undefined;
    this.#leftMs = this.#limitMs;
    if (this.#hooks.isPresent()) return;
    const detail = `no audio within ${this.#limitMs} ms`;
    this.#hooks.silent(detail, this.#isOwed);
    if (!this.#isOwed) return;
    if (this.#isSecond) return this.#hooks.failed(`${detail}, twice`);
    this.#isSecond = true;
    this.#hooks.renew(detail);
  }
}
