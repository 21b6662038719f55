import { CallerClock } from './caller-clock.ts';

/** What a sample is on the line, and where finished audio goes. */
export interface StereoTrackOptions {
  readonly sampleRate: number;
  readonly bytesPerSample: number;
  /** From a tick to when what left in it is heard, ms. */
  readonly botDelayMs: number;
  /** The sample, 16 bits, that begins at byte `at`. */
  readonly readSample: (source: Buffer, at: number) => number;
  /** Gets finished audio, `from` in samples since the beginning: stereo, 16 bits, little-endian; a copy of its own. */
  readonly onAudio: (audio: Buffer, from: number) => void;
}

const FRAME_MS = 20;
const BLOCK_MS = 1_000;
/** So long after its time the caller's audio is still put where it belongs: the wait for lost packets and for a pause, and some. */
const LATE_MS = 500;
// A frame that came with its own packet tells of the clocks; one that was put in for a pause, or held back, does not.
const FRESH_MS = 10;
// Timestamps are rounded to a millisecond: what is less is no gap.
const GAP_MS = 1.5;
// The caller's audio may be so far off its place before it is moved there, by this part of the way a frame, at most a tenth faster or slower.
const TOLERANCE_MS = 5;
const APPROACH = 1 / 16;
const STRETCH_MAX = 0.1;

/**
 * Both sides of a call on one time base, the pacer's 20 ms grid: what was sent lies where its tick was (or a fixed time later, when
 * it was heard), skipped ticks included; what was received lies where it came from the network, less the network's jitter. So the two stay in step
 * however long the call is and however the clocks drift. While it is paused both sides are silent, and time goes on.
 */
export class StereoTrack {
  /** While true, nothing is recorded: silence takes its place. */
  paused = false;
  /** Caller's audio that came too late to be put in, samples. */
  lateSamples = 0;
  readonly #options: StereoTrackOptions;
  readonly #samplesPerMs: number;
  readonly #frame: number;
  readonly #block: number;
  readonly #botDelay: number;
  /** Two blocks of stereo samples, by position modulo their length; zero where nothing was put. Little-endian, as all that Node runs on. */
  readonly #ring: Int16Array;
  /** Clock time of position 0. */
  #originMs = Number.NaN;
  /** Where the bot's next frame lies, samples. */
  #position = 0;
  /** All before this was handed over. */
  #done = 0;
  readonly #clock = new CallerClock(LATE_MS);
  /** Where the caller's next frame lies if nothing is missing before it, and the timestamp that it has then. */
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

  /** The frame `source[start..)` of the bot's audio left at `nowMs`, after so many ticks in which none did. */
  played(source: Buffer, start: number, skippedFrames: number, nowMs: number): void {
    for (let i = 0; i < skippedFrames; i++) this.#advance();
    const atMs = nowMs - this.lengthMs;
    // A tick may be late, never early: the earliest tells where the grid lies.
    this.#originMs = Number.isNaN(this.#originMs) ? atMs : Math.min(this.#originMs, atMs);
    this.#put(1, source, start, this.#frame, this.#position + this.#botDelay, this.#frame);
    this.#advance();
  }

  /** What left and is not heard yet will not be heard: a `clear`. */
  flushed(): void {
    const length = this.#ring.length;
    for (let i = 0; i < this.#botDelay; i++) this.#ring[(2 * (this.#position + i) + 1) % length] = 0;
  }

  /**
   * The frame `source[start..end)` of the caller's audio, at `timestampMs` of the caller's time, was handed on at `nowMs`; a
   * packet had last come at `receivedMs`.
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
      // Time passed of which nothing was handed on: the stream began anew, and what was known of its clock is void.
      this.#callerPosition += Math.round(gapMs * this.#samplesPerMs);
      this.#clock.restart();
    }
    const isFresh = nowMs - receivedMs < FRESH_MS;
    if (isFresh) this.#clock.arrived(timestampMs, receivedMs - this.#originMs);
    const isFirst = Number.isNaN(this.#callerTimestampMs);
    if (isFirst && !isFresh) return;
    // Not a number while nothing is known of the clock: then it goes on where it was.
    const off = Math.round((this.#clock.originMs + timestampMs) * this.#samplesPerMs - this.#callerPosition);
    const isNew = isFirst || Math.abs(off) > LATE_MS * this.#samplesPerMs;
    if (isNew) this.#callerPosition += off;
    const samples = Math.floor((end - start) / this.#options.bytesPerSample);
    const length = isNew ? samples : samples + this.#correction(off, samples);
    this.#put(0, source, start, samples, this.#callerPosition, length);
    this.#callerPosition += length;
    this.#callerTimestampMs = timestampMs + samples / this.#samplesPerMs;
  }

  /** Hands over all that is left. */
  finish(): void {
    while (this.#done < this.#position) this.#handOver(Math.min(this.#block, this.#position - this.#done));
  }

  /** Samples by which a frame is made longer or shorter, that the caller's audio comes nearer to its place. */
  #correction(off: number, samples: number): number {
    if (!(Math.abs(off) > TOLERANCE_MS * this.#samplesPerMs)) return 0;
    const most = Math.floor(samples * STRETCH_MAX);
    return Math.max(-most, Math.min(most, Math.round(off * APPROACH)));
  }

  #advance(): void {
    this.#position += this.#frame;
    if (this.#position - this.#done >= this.#block + LATE_MS * this.#samplesPerMs)
      this.#handOver(this.#block);
  }

  #handOver(samples: number): void {
    const from = 2 * (this.#done % (2 * this.#block));
    const audio = this.#ring.subarray(from, from + 2 * samples);
    const bytes = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength);
    this.#options.onAudio(Buffer.from(bytes), this.#done);
    audio.fill(0);
    this.#done += samples;
  }

  /** Writes `samples` samples of the line as `length` of a channel, as far as the ring reaches. */
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
