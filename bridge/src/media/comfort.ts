/** While a lost bot is sought the caller hears a soft tone this often. */
const COMFORT_EVERY_MS = 2_000;

/** Says to the caller now and then that the line is alive. */
export class Comfort {
  readonly #play: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(play: () => void) {
    this.#play = play;
  }

  /** `atOnce`: the first time now, where nothing was heard before. */
  start(atOnce = false): void {
    if (atOnce) this.#play();
    this.#timer ??= setInterval(this.#play, COMFORT_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
