import { isLongSilence } from '../audio/audible.ts';
import type { Encoding, SampleRate } from '../audio/format.ts';

/** A stock Pipecat bot ends with 2 s of silence, less what its resampler holds back. */
const SILENCE_MS = 1_900;

/**
 * Detects the end of a bot: one long message of silence, then nothing. Its socket may stay open
 * after that.
 */
export class EndMarker {
  readonly #limitMs: number;
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `onEnd` is called if nothing has come for `limitMs` after the silence was played; 0: never. */
  constructor(limitMs: number, onEnd: () => void) {
    this.#limitMs = limitMs;
    this.#onEnd = onEnd;
  }

  /** Whether the last message was such a silence. */
  get isSet(): boolean {
    return this.#timer !== undefined;
  }

  /**
   * Takes the audio `audio[0..length)` of a message, or of a part of it. `isContinued`: the part
   * continues the last one. `queuedMs`: audio queued for playout, this included.
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
    // Called for each message, so return early in the usual case.
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
