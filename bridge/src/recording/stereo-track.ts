import { FRAME_MS } from '../units/audio.ts';
import { CallerClock } from './caller-clock.ts';

/** Format of the line, and the consumer of the recorded audio. */
export interface StereoTrackOptions {
  readonly sampleRate: number;
  readonly bytesPerSample: number;
  /** Time from a tick until its frame is heard, ms. */
  readonly botDelayMs: number;
  /** Reads the 16-bit sample at byte `at`. */
  readonly readSample: (source: Buffer, at: number) => number;
  /**
   * Called with finished audio: stereo, 16 bits, little-endian. `from`: samples since the
   * beginning. The buffer is a copy.
   */
  readonly onAudio: (audio: Buffer, from: number) => void;
}

const BLOCK_MS = 1_000;
/**
 * The caller's audio is still recorded at its position if it is late by up to this time: longer
 * than the waits for lost packets and for pauses.
 */
const LATE_MS = 500;
// A frame counts for the clock offset only if its packet has just arrived. A frame that was
// inserted for a pause, or held back, does not.
const FRESH_MS = 10;
// Timestamps are rounded to 1 ms, so a smaller difference is not a gap.
const GAP_MS = 1.5;
// An offset of the caller's audio below this is not corrected. A larger one is corrected by this
// share per frame, at most 10 % faster or slower.
const TOLERANCE_MS = 5;
const APPROACH = 1 / 16;
const STRETCH_MAX = 0.1;

/**
 * Records both directions of a call on one timeline: the pacer's 20 ms grid. Sent audio is placed
 * at its tick, or a fixed delay later when it is heard. Skipped ticks count too. Received audio is
 * placed at its arrival from the network, less the jitter. So both stay synchronized, however long
 * the call is and however the clocks drift. While paused, both channels are silent and time goes
 * on.
 */
export class StereoTrack {
  /** While true, silence is recorded. */
  paused = false;
  /** Samples of the caller that came too late to be recorded. */
  lateSamples = 0;
  readonly #options: StereoTrackOptions;
  readonly #samplesPerMs: number;
  readonly #frame: number;
  readonly #block: number;
  readonly #botDelay: number;
  /**
   * Two blocks of stereo samples, indexed by position modulo their length; zero where nothing was
   * written. Little-endian, like all platforms of Node.
   */
  readonly #ring: Int16Array;
  /** Clock time of position 0. */
  #originMs = Number.NaN;
  /** Position of the bot's next frame, samples. */
  #position = 0;
  /** All audio before this position was passed on. */
  #done = 0;
  readonly #clock = new CallerClock(LATE_MS);
  /** Position and timestamp of the caller's next frame, if none is missing before it. */
  #callerPosition = 0;
  #callerTimestampMs = Number.NaN;

  constructor(options: StereoTrackOptions) {
    this.#options = options;
    this.#samplesPerMs = options.sampleRate / 1000;
    this.#frame = FRAME_MS * this.#samplesPerMs;
    this.#block = BLOCK_MS * this.#samplesPerMs;
    this.#botDelay = options.botDelayMs * this.#samplesPerMs;
    this.#ring = new Int16Array(2 * 2 * this.#block);
  }

  /** Length so far, ms. */
  get lengthMs(): number {
    return this.#position / this.#samplesPerMs;
  }

  /**
   * The frame `source[start..)` of the bot's audio was sent at `nowMs`, after `skippedFrames` ticks
   * without one.
   */
  played(source: Buffer, start: number, skippedFrames: number, nowMs: number): void {
    for (let i = 0; i < skippedFrames; i++) this.#advance();
    const atMs = nowMs - this.lengthMs;
    // A tick may be late but never early, so the earliest one shows the grid.
    this.#originMs = Number.isNaN(this.#originMs) ? atMs : Math.min(this.#originMs, atMs);
    this.#put(1, source, start, this.#frame, this.#position + this.#botDelay, this.#frame);
    this.#advance();
  }

  /** Audio that was sent but not heard yet was dropped by a `clear`. */
  flushed(): void {
    const length = this.#ring.length;
    for (let i = 0; i < this.#botDelay; i++) this.#ring[(2 * (this.#position + i) + 1) % length] = 0;
  }

  /**
   * The frame `source[start..end)` of the caller's audio, at `timestampMs` on the caller's
   * timeline, was passed on at `nowMs`. The last packet arrived at `receivedMs`.
   */
  heard(
    source: Buffer,
    start: number,
    end: number,
    timestampMs: number,
    receivedMs: number,
    nowMs: number,
  ): void {
    if (Number.isNaN(this.#originMs)) return;
    const gapMs = timestampMs - this.#callerTimestampMs;
    if (gapMs > GAP_MS) {
      // No frame came for this time: the stream restarted, so the clock offset is unknown again.
      this.#callerPosition += Math.round(gapMs * this.#samplesPerMs);
      this.#clock.restart();
    }
    const isFresh = nowMs - receivedMs < FRESH_MS;
    if (isFresh) this.#clock.arrived(timestampMs, receivedMs - this.#originMs);
    const isFirst = Number.isNaN(this.#callerTimestampMs);
    if (isFirst && !isFresh) return;
    // NaN while the clock offset is unknown: then the frame follows the last one.
    const off = Math.round((this.#clock.originMs + timestampMs) * this.#samplesPerMs - this.#callerPosition);
    const isNew = isFirst || Math.abs(off) > LATE_MS * this.#samplesPerMs;
    if (isNew) this.#callerPosition += off;
    const samples = Math.floor((end - start) / this.#options.bytesPerSample);
    const length = isNew ? samples : samples + this.#correction(off, samples);
    this.#put(0, source, start, samples, this.#callerPosition, length);
    this.#callerPosition += length;
    this.#callerTimestampMs = timestampMs + samples / this.#samplesPerMs;
  }

  /** Passes on all remaining audio. */
  finish(): void {
    while (this.#done < this.#position) this.#passOn(Math.min(this.#block, this.#position - this.#done));
  }

  /**
   * Samples by which a frame is made longer or shorter, to move the caller's audio to its position.
   */
  #correction(off: number, samples: number): number {
    if (!(Math.abs(off) > TOLERANCE_MS * this.#samplesPerMs)) return 0;
    const most = Math.floor(samples * STRETCH_MAX);
    return Math.max(-most, Math.min(most, Math.round(off * APPROACH)));
  }

  #advance(): void {
    this.#position += this.#frame;
    if (this.#position - this.#done >= this.#block + LATE_MS * this.#samplesPerMs) this.#passOn(this.#block);
  }

  #passOn(samples: number): void {
    const from = 2 * (this.#done % (2 * this.#block));
    const audio = this.#ring.subarray(from, from + 2 * samples);
    const bytes = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength);
    this.#options.onAudio(Buffer.from(bytes), this.#done);
    audio.fill(0);
    this.#done += samples;
  }

  /** Writes `samples` samples of the line as `length` samples of a channel, within the ring. */
  #put(
    channel: 0 | 1,
    source: Buffer,
    start: number,
    samples: number,
    position: number,
    length: number,
  ): void {
    const first = Math.min(length, Math.max(0, this.#done - position));
    this.lateSamples += first;
    if (this.paused) return;
    const last = Math.min(length, this.#done + 2 * this.#block - position);
    const { readSample, bytesPerSample } = this.#options;
    const step = samples / length;
    let at = ((position + first) % (2 * this.#block)) * 2 + channel;
    for (let i = first; i < last; i++) {
      this.#ring[at] = readSample(source, start + Math.floor(i * step) * bytesPerSample);
      at += 2;
      if (at >= this.#ring.length) at = channel;
    }
  }
}
