import { rms } from './tones.ts';

/** Sound must be this long to be speech, in ms. */
const ONSET_MS = 60;
/** Audio kept from before the onset and after the end, in ms. */
const MARGIN_MS = 200;
/** An utterance is handed over at this length even without a pause, in ms. */
const MAX_UTTERANCE_MS = 10_000;
/** The level of speech: at least this, in sample units, and three times the noise. */
const MIN_SPEECH_RMS = 300;
const MAX_NOISE_RMS = 1000;

/**
 * Speech detection by energy: finds utterances in a stream of samples. Time is counted in samples.
 */
export class Vad {
  #sampleRate: number;
  #pauseMs: number;
  #noise = 0;
  #loudMs = 0;
  #quietMs = 0;
  #keptMs = 0;
  #kept: Int16Array[] = [];
  #inUtterance = false;

  /** An utterance ends with `pauseMs` of quiet. */
  constructor(sampleRate: number, pauseMs = 700) {
    this.#sampleRate = sampleRate;
    this.#pauseMs = pauseMs;
  }

  /**
   * For how long the caller has been speaking, short pauses included, in ms; 0 when not speaking.
   */
  get speechMs(): number {
    return this.#inUtterance && this.#quietMs < MARGIN_MS ? this.#loudMs : 0;
  }

  /** Takes the next samples; returns the utterance that these complete, if they do. */
  push(samples: Int16Array): Int16Array | undefined {
    const ms = (samples.length * 1000) / this.#sampleRate;
    const level = rms(samples);
    const loud = level > Math.max(MIN_SPEECH_RMS, 3 * this.#noise);
    if (!loud) this.#noise = Math.min(MAX_NOISE_RMS, this.#noise + 0.05 * (level - this.#noise));
    this.#loudMs = loud ? this.#loudMs + ms : this.#inUtterance ? this.#loudMs : 0;
    this.#quietMs = loud ? 0 : this.#quietMs + ms;
    this.#keep(samples, ms);
    if (!this.#inUtterance) {
      this.#inUtterance = this.#loudMs >= ONSET_MS;
      return undefined;
    }
    if (this.#quietMs < this.#pauseMs && this.#keptMs < MAX_UTTERANCE_MS) return undefined;
    return this.#finish();
  }

  #keep(samples: Int16Array, ms: number): void {
    this.#kept.push(samples);
    this.#keptMs += ms;
    if (this.#inUtterance || this.#loudMs > 0) return;
    while (this.#keptMs > MARGIN_MS) {
      const first = this.#kept.shift();
      if (first === undefined) return;
      this.#keptMs -= (first.length * 1000) / this.#sampleRate;
    }
  }

  #finish(): Int16Array {
    const cutMs = Math.max(0, this.#quietMs - MARGIN_MS);
    const length = Math.round(((this.#keptMs - cutMs) * this.#sampleRate) / 1000);
    const utterance = new Int16Array(length);
    let at = 0;
    for (const part of this.#kept) {
      utterance.set(part.subarray(0, Math.max(0, length - at)), Math.min(at, length));
      at += part.length;
    }
    this.#kept = [];
    this.#keptMs = this.#loudMs = this.#quietMs = 0;
    this.#inUtterance = false;
    return utterance;
  }
}
