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
  #timer: NodeJS.Timeout | undefined;
  #isSecond = false;

  /** `limitMs`: time from `start`. `isOwed`: the bot should speak first. */
  constructor(limitMs: number, isOwed: boolean, hooks: FirstAudioHooks) {
    this.#limitMs = limitMs;
    this.#isOwed = isOwed;
    this.#hooks = hooks;
  }

  /** The bot was sent `start`. */
  started(): void {
    this.stop();
    if (!this.#hooks.isPresent()) this.#timer = setTimeout(() => this.#isOver(), this.#limitMs);
  }

  /** The connection is lost or closed. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #isOver(): void {
    if (this.#hooks.isPresent()) return;
    const detail = `no audio within ${this.#limitMs} ms`;
    this.#hooks.silent(detail, this.#isOwed);
    if (!this.#isOwed) return;
    if (this.#isSecond) return this.#hooks.failed(`${detail}, twice`);
    this.#isSecond = true;
    this.#hooks.renew(detail);
  }
}
