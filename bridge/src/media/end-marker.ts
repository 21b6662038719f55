import { isLongSilence } from '../audio/audible.ts';
import type { Encoding, SampleRate } from '../audio/format.ts';

/** A stock Pipecat bot's last message is 2 s of silence, a little less where its resampler holds some back. */
const SILENCE_MS = 1_900;

/** Watches a bot for its end: one long message of silence, and then nothing. The socket may stay open for ever after it. */
export class EndMarker {
  readonly #limitMs: number;
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `onEnd` is called when nothing has come for `limitMs` after the silence has been played; 0: never. */
  constructor(limitMs: number, onEnd: () => void) {
    this.#limitMs = limitMs;
    this.#onEnd = onEnd;
  }

  /** Whether the last that came was such a message. */
  get isSet(): boolean {
    return this.#timer !== undefined;
  }

  /**
   * Takes the audio `audio[0..length)` of a message, or of a part of one that goes on with the part before; `queuedMs` is what is to be
   * played by now, with it.
   */
  media(
    audio: Buffer,
    length: number,
    encoding: Encoding,
    sampleRate: SampleRate,
    queuedMs: number,
    isContinued = false,
  ): void {
    const wasSilent = this.isSet;
    this.unset();
    if (this.#limitMs === 0 || (isContinued && !wasSilent)) return;
    const silenceMs = isContinued ? 0 : SILENCE_MS;
    if (!isLongSilence(audio, length, encoding, (silenceMs * sampleRate) / 1000)) return;
    this.#timer = setTimeout(this.#onEnd, queuedMs + this.#limitMs);
  }

  /** The bot is alive, or gone. */
  unset(): void {
    // It seldom is: this is asked for with each message.
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
