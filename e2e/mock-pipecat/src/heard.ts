import { dominantTone, rms } from './tones.ts';

/** A stretch of one kind of sound. Times in ms of audio since the first media message. */
export interface Segment {
  readonly what: 'silence' | 'tone' | 'sound';
  /** The tone's frequency. */
  readonly hz?: number;
  readonly fromMs: number;
  toMs: number;
}

/** RMS below which a frame is silence, in sample units. */
const SILENCE_RMS = 60;
const MAX_SEGMENTS = 1000;
const MAX_GAP_MS = 1000;

/**
 * What was received as media: amount, regularity and sounds. `atMs` values are ms since the epoch.
 */
export class Heard {
  #messages = 0;
  #bytes = 0;
  #audioMs = 0;
  #firstAtMs: number | undefined;
  #lastAtMs: number | undefined;
  #firstSoundAtMs: number | undefined;
  #lastTimestamp: number | undefined;
  #timestampGaps = 0;
  #gapsByMs: number[] = [];
  #segments: Segment[] = [];
  #heardMs: Record<string, number> = {};

  /** Media has arrived. */
  get any(): boolean {
    return this.#messages > 0;
  }

  /** Audio so far, in ms. */
  get audioMs(): number {
    return this.#audioMs;
  }

  /** Something else than silence has arrived. */
  get anySound(): boolean {
    return this.#firstSoundAtMs !== undefined;
  }

  /** Takes a media message's audio. `timestamp` is the message's own, in ms. */
  push(samples: Int16Array, sampleRate: number, bytes: number, timestamp: unknown, atMs: number): void {
    const ms = (samples.length * 1000) / sampleRate;
    if (this.#lastAtMs !== undefined) {
      const gapMs = Math.min(MAX_GAP_MS, Math.max(0, Math.round(atMs - this.#lastAtMs)));
      this.#gapsByMs[gapMs] = (this.#gapsByMs[gapMs] ?? 0) + 1;
    }
    if (typeof timestamp === 'number') {
      if (this.#lastTimestamp !== undefined && Math.abs(timestamp - this.#lastTimestamp - ms) > 1)
        this.#timestampGaps++;
      this.#lastTimestamp = timestamp;
    }
    this.#classify(samples, sampleRate, ms, atMs);
    this.#messages++;
    this.#bytes += bytes;
    this.#audioMs += ms;
    this.#firstAtMs ??= atMs;
    this.#lastAtMs = atMs;
  }

  #classify(samples: Int16Array, sampleRate: number, ms: number, atMs: number): void {
    const silent = rms(samples) < SILENCE_RMS;
    const hz = silent ? undefined : dominantTone(samples, sampleRate);
    const what = silent ? 'silence' : hz === undefined ? 'sound' : 'tone';
    if (!silent) this.#firstSoundAtMs ??= atMs;
    const key = hz === undefined ? what : String(hz);
    this.#heardMs[key] = (this.#heardMs[key] ?? 0) + ms;
    const last = this.#segments.at(-1);
    if (last?.what === what && last.hz === hz) {
      last.toMs = this.#audioMs + ms;
    } else if (this.#segments.length < MAX_SEGMENTS) {
      const times = { fromMs: this.#audioMs, toMs: this.#audioMs + ms };
      this.#segments.push(hz === undefined ? { what, ...times } : { what, hz, ...times });
    }
  }

  /**
   * The figures as JSON. `gapMs` is the time between messages (1000: 1000 or more); `heardMs` is by
   * type or tone.
   */
  view() {
    return {
      messages: this.#messages,
      bytes: this.#bytes,
      audioMs: this.#audioMs,
      firstAtMs: this.#firstAtMs,
      lastAtMs: this.#lastAtMs,
      firstSoundAtMs: this.#firstSoundAtMs,
      timestampGaps: this.#timestampGaps,
      gapMs: { p50: this.#gap(0.5), p99: this.#gap(0.99), max: Math.max(0, this.#gapsByMs.length - 1) },
      heardMs: this.#heardMs,
      segments: this.#segments,
    };
  }

  #gap(quantile: number): number {
    let left = quantile * Math.max(0, this.#messages - 1);
    for (let ms = 0; ms < this.#gapsByMs.length; ms++) {
      left -= this.#gapsByMs[ms] ?? 0;
      if (left <= 0) return ms;
    }
    return 0;
  }
}
