// Until a bot is known: enough for the steps of 120 to 160 ms that stock bots send in.
const INITIAL_MS = 60;
// A gap that this much delay could not hide is a pause of the bot's own and says nothing of its cadence.
const MAX_MS = 100;
// On top of the worst lateness seen, for the timers of both sides.
const MARGIN_MS = 10;
// Audio that is judged at once.
const WINDOW_MS = 1000;
// The part of what is not needed that is given up after each such window.
const SHRINK = 0.03;

/**
 * How long a bot's first audio has to wait so that the rest of the utterance plays without a gap, found from how its
 * messages come: a message is late by the time since the utterance began minus the audio sent in it before. The delay
 * grows at once to the worst lateness seen and shrinks slowly; a bot that is ahead of real time ends at 0.
 */
export class Cadence {
  #delayMs = INITIAL_MS;
  #known = false;
  /** When the first message of the utterance came; NaN: none has. */
  #beginMs = Number.NaN;
  /** Audio sent since then, ms. */
  #sentMs = 0;
  #worstMs = Number.NEGATIVE_INFINITY;
  #judgedMs = 0;

  /** The delay for the next utterance, 0 to 100 ms. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** Notes a message with `audioMs` of audio. `begins`: nothing was left to play, so what it begins has a delay of its own. */
  arrived(audioMs: number, nowMs: number, begins: boolean): void {
    const lateMs = nowMs - this.#beginMs - this.#sentMs;
    const judged = lateMs <= MAX_MS;
    if (judged) this.#judge(lateMs, audioMs);
    if (!judged || begins) {
      this.#beginMs = nowMs;
      this.#sentMs = 0;
    }
    this.#sentMs += audioMs;
  }

  /** What comes next is a new utterance, whenever it comes. */
  restart(): void {
    this.#beginMs = Number.NaN;
  }

  #judge(lateMs: number, audioMs: number): void {
    this.#worstMs = Math.max(this.#worstMs, lateMs);
    this.#judgedMs += audioMs;
    const neededMs = Math.min(MAX_MS, Math.max(0, this.#worstMs + MARGIN_MS));
    if (neededMs > this.#delayMs) this.#delayMs = neededMs;
    if (this.#judgedMs < WINDOW_MS) return;
    this.#delayMs -= (this.#delayMs - neededMs) * (this.#known ? SHRINK : 1);
    this.#known = true;
    this.#judgedMs = 0;
    this.#worstMs = Number.NEGATIVE_INFINITY;
  }
}
