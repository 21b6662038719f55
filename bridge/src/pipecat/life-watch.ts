/** How soon a bot that does not react counts as lost. */
export interface LifeLimits {
  /** A bot from which nothing comes is pinged this often, ms. */
  readonly pingMs: number;
  /** A bot is lost if nothing at all came from it for this time, ms; 0: no such limit. */
  readonly hungMs: number;
}

/** A bot that sends, but does not answer a ping for this time, reads nothing and is lost, ms. */
const UNANSWERED_MS = 30_000;
/** A bot may load models, with its event loop blocked, before anything comes from it, ms. */
const BEGINNING_MS = 10_000;

/**
 * Finds a bot whose connection is open but that does not react. Everything that it sends is a sign
 * of life, so that only a quiet bot is pinged. Counts ticks of a timer instead of reading a clock:
 * while this process stands still, no time passes.
 */
export class LifeWatch {
  /** Call {@link tick} this often, ms. */
  readonly tickMs: number;
  readonly #quietMax: number;
  /** The same until the bot is heard for the first time. */
  readonly #beginningMax: number;
  #isNew = true;
  readonly #unansweredMax: number;
  /** Ticks since the bot was last heard. */
  #quiet = 0;
  /** Ticks since the last ping, and whether it was answered. */
  #sincePing = 0;
  #isAnswered = true;

  constructor({ pingMs, hungMs }: LifeLimits) {
    this.tickMs = pingMs / 2;
    // A bot is heard at an unknown time within a tick, so it was quiet for one tick more.
    const ticks = Math.floor(Math.max(hungMs, 2 * pingMs) / this.tickMs) - 1;
    this.#quietMax = hungMs === 0 ? Number.POSITIVE_INFINITY : ticks;
    this.#beginningMax = Math.max(this.#quietMax, Math.floor(BEGINNING_MS / this.tickMs));
    this.#unansweredMax = Math.max(UNANSWERED_MS, 2 * pingMs) / this.tickMs;
  }

  /** The bot answered a ping. */
  answered(): void {
    this.#isAnswered = true;
  }

  /** `isHeard`: something came from the bot since the last tick. */
  tick(isHeard: boolean): 'ping' | 'lost' | undefined {
    if (isHeard) this.#isNew = false;
    this.#quiet = isHeard ? 0 : this.#quiet + 1;
    this.#sincePing += 1;
    if (this.#quiet >= (this.#isNew ? this.#beginningMax : this.#quietMax)) return 'lost';
    if (!this.#isAnswered && this.#sincePing >= this.#unansweredMax) return 'lost';
    if (this.#quiet % 2 === 1) return this.#ping();
    return this.#isAnswered && this.#sincePing >= this.#unansweredMax / 2 ? this.#ping() : undefined;
  }

  #ping(): 'ping' {
    // An unanswered ping keeps its age.
    if (this.#isAnswered) this.#sincePing = 0;
    this.#isAnswered = false;
    return 'ping';
  }
}
