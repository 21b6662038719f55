/** Interval of the tone that the caller hears while a lost bot is reconnected. */
const COMFORT_EVERY_MS = 2_000;

/** Plays a tone periodically, to tell the caller that the line is alive. */
export class Comfort {
  readonly #play: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(play: () => void) {
    this.#play = play;
  }

  /** `atOnce`: play the first tone now, because nothing was heard before. */
  start(atOnce = false): void {
    if (atOnce) this.#play();
    this.#timer ??= setInterval(this.#play, COMFORT_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
