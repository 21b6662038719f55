// Delay before anything is known of a bot: enough for stock bots, which send every 120 to 160 ms.
const INITIAL_MS = 60;
// Longest delay. A message that is later follows a pause of the bot and tells nothing of its
// cadence.
const MAX_MS = 100;
// Added to the worst lateness seen, for timer inaccuracy on both sides.
const MARGIN_MS = 10;
// The delay is judged anew after this much audio.
const WINDOW_MS = 1000;
// Share of the unneeded delay that is removed after each window.
const SHRINK = 0.03;

/**
 * Finds how long the first audio of an utterance must wait so that the rest plays without a gap. A
 * message's lateness is the time since the utterance began minus the audio sent in it before. The
 * delay grows at once to the worst lateness seen and shrinks slowly. For a bot that sends faster
 * than real time it becomes 0.
 */
export class Cadence {
  #delayMs = INITIAL_MS;
  #known = false;
  /** When the first message of the utterance came; NaN: none has come. */
  #beginMs = Number.NaN;
  /** Audio received since then, ms. */
  #sentMs = 0;
  #worstMs = Number.NEGATIVE_INFINITY;
  #judgedMs = 0;

  /** Delay for the next utterance, 0 to 100 ms. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /**
   * Notes a message with `audioMs` of audio. `begins`: the queue was empty, so this message begins
   * a new delay.
   */
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

  /** The next message begins a new utterance, whenever it comes. */
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
