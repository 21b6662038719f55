import { ByteRing } from './byte-ring.ts';
import { Cadence } from './cadence.ts';
import { bytesPerSample, type Encoding, quietSample } from './format.ts';

// This much waiting at once comes from no bot in real time: waiting for more would only delay it.
const START_AT_ONCE_MS = 1000;
// Audio that comes this soon after the queue ran dry was late: the sentence was torn. Later, it is a new sentence.
const UNDERRUN_WINDOW_MS = 500;
// Marks that may wait; a bot sends a few a sentence.
const MAX_MARKS = 1000;

/** What one read yielded: the bot's audio (its last frame padded), or silence because there is none to play. */
export type FrameKind = 'audio' | 'silence';

/** Size, limits and listeners of a queue. */
export interface PlayoutQueueOptions {
  /** Bytes that one read takes. */
  bytesPerFrame: number;
  /** Duration of that frame, ms. */
  frameMs: number;
  /** The byte that silence is made of. */
  silence: number;
  /** What a sample is. Default: G.711 mu-law. */
  encoding?: Encoding;
  /** How long the first audio of an utterance waits for more, ms: evens out a bot that sends in steps. Or found from its cadence. */
  prebufferMs: number | 'adaptive';
  /** Silence at the end of what is queued that a drain plays, ms; more is cut. Default: all of it. */
  trailingSilenceMs?: number;
  /** Limit of the queue, ms; what is beyond is refused and counted. */
  maxMs: number;
  /** Called when everything queued before a mark has been read, or cleared. */
  onMark: (name: string, cleared: boolean) => void;
  /** Called once, by the first read after the last frame was handed over in a drain. */
  onDrained: () => void;
}

/** Figures of one queue. `offeredBytes` = played + cleared + refused + trimmed + still queued, in bytes. */
export interface PlayoutStats {
  offeredBytes: number;
  playedBytes: number;
  clearedBytes: number;
  /** Refused because the queue was full. */
  overflowBytes: number;
  /** Refused because the queue was draining: nothing is said after the goodbye. */
  afterDrainBytes: number;
  /** Silence cut: at the end of a drain, and to make up for frames that were skipped. */
  trimmedBytes: number;
  audioFrames: number;
  silenceFrames: number;
  /** Frames of silence sent while the queue was held; counted as silence too. */
  heldFrames: number;
  /** Times that the queue ran dry within an utterance. */
  underruns: number;
  /** Longest silence heard by such an underrun, ms. */
  longestGapMs: number;
  /** Most that was ever queued, ms. */
  highWaterMs: number;
}

interface Mark {
  name: string;
  /** Fires when this many bytes, counted from the first, have been played or cleared. */
  dueBytes: number;
  /** Audio before it was refused: it will not have been played when this fires. */
  isIncomplete: boolean;
}

/**
 * What a bot wants to be heard, until it is time: bytes of any size go in, exact frames come out. It is `idle` while
 * empty, `priming` while the first audio waits for more, `playing` until it runs dry.
 */
export class PlayoutQueue {
  readonly stats: PlayoutStats = {
    offeredBytes: 0,
    playedBytes: 0,
    clearedBytes: 0,
    overflowBytes: 0,
    afterDrainBytes: 0,
    trimmedBytes: 0,
    audioFrames: 0,
    silenceFrames: 0,
    heldFrames: 0,
    underruns: 0,
    longestGapMs: 0,
    highWaterMs: 0,
  };
  readonly #options: PlayoutQueueOptions;
  readonly #bytesPerMs: number;
  readonly #bytesPerSample: number;
  readonly #maxBytes: number;
  readonly #cadence: Cadence | undefined;
  /** The first half of a sample whose second half comes with the next message; the ring holds whole samples only. */
  #halfSample: Buffer | undefined;
  readonly #ring = new ByteRing();
  #state: 'idle' | 'priming' | 'playing' = 'idle';
  #primingSinceMs = 0;
  #firstWriteBytes = 0;
  /** When the queue last ran dry, unless it was cleared since. */
  #dryAtMs = Number.NEGATIVE_INFINITY;
  #inUnderrun = false;
  #held = false;
  #heldUntilMs = 0;
  /** Frames that should have been heard by now, but for ticks that came too late. */
  #behindFrames = 0;
  /** Bytes cut to make up for them. */
  #caughtUpBytes = 0;
  #draining = false;
  #drained = false;
  readonly #marks: Mark[] = [];
  /** Audio was refused since the last mark was set. */
  #isIncomplete = false;

  constructor(options: PlayoutQueueOptions) {
    this.#options = options;
    this.#bytesPerMs = options.bytesPerFrame / options.frameMs;
    this.#bytesPerSample = bytesPerSample(options.encoding ?? 'pcmu');
    this.#maxBytes = this.#wholeBytes(options.maxMs);
    if (options.prebufferMs === 'adaptive') this.#cadence = new Cadence();
  }

  /** Audio that waits, ms. */
  get queuedMs(): number {
    return this.#ring.length / this.#bytesPerMs;
  }

  /** Audio heard so far, ms. */
  get playedMs(): number {
    return this.stats.playedBytes / this.#bytesPerMs;
  }

  /** Audio refused so far because the queue was full, ms. */
  get overflowMs(): number {
    return this.stats.overflowBytes / this.#bytesPerMs;
  }

  /** Audio cut off by `clear` so far, ms. */
  get clearedMs(): number {
    return this.stats.clearedBytes / this.#bytesPerMs;
  }

  /** How long the first audio of the next utterance will wait for more, ms. */
  get prebufferMs(): number {
    return this.#cadence?.delayMs ?? (this.#options.prebufferMs as number);
  }

  /** Whether the bot is being heard, or is about to be: audio is queued or wanted. */
  get playing(): boolean {
    return this.#state !== 'idle';
  }

  /** Whether `hold` is in force. */
  get held(): boolean {
    return this.#held;
  }

  /** True from the read that called `onDrained`. */
  get drained(): boolean {
    return this.#drained;
  }

  /** Queues `source[start..end)`, the audio of one message; returns how many bytes were accepted, in whole samples. */
  write(source: Buffer, start: number, end: number, nowMs: number): number {
    if (this.#splitsSample(end - start)) {
      const whole = this.#wholeSamples(source.subarray(start, end));
      return this.#append(whole, 0, whole.length, nowMs);
    }
    return this.#append(source, start, end, nowMs);
  }

  /** Fills `target` from `offset` on with the next frame. Call it once a frame. */
  read(target: Buffer, offset: number, nowMs: number): FrameKind {
    const { bytesPerFrame, silence } = this.#options;
    if (this.#held && nowMs >= this.#heldUntilMs) this.#held = false;
    if (this.#held) {
      target.fill(silence, offset, offset + bytesPerFrame);
      this.stats.silenceFrames++;
      this.stats.heldFrames++;
      return 'silence';
    }
    if (this.#state === 'priming' && this.#isPrimed(nowMs)) this.#startPlaying(nowMs);
    if (this.#state === 'playing' && this.#ring.length === 0) this.#runDry(nowMs);
    if (this.#state !== 'playing') {
      target.fill(silence, offset, offset + bytesPerFrame);
      this.stats.silenceFrames++;
      if (this.#draining && !this.#drained) {
        this.#drained = true;
        this.#options.onDrained();
      }
      return 'silence';
    }
    if (this.#behindFrames > 0) this.#catchUp();
    const bytes = Math.min(bytesPerFrame, this.#ring.length);
    this.#ring.read(target, offset, bytes);
    this.stats.playedBytes += bytes;
    this.stats.audioFrames++;
    if (bytes < bytesPerFrame) {
      target.fill(silence, offset + bytes, offset + bytesPerFrame);
      this.#runDry(nowMs);
    }
    if (this.#marks.length > 0) this.#fireMarks(false);
    return 'audio';
  }

  /**
   * The grid has moved on by so many frames that were not read. What waits would be that much later for as long as the bot goes on:
   * the bot's own silences are shortened instead, frame by frame.
   */
  skip(frames: number): void {
    if (this.#state === 'playing' && !this.#held) this.#behindFrames += frames;
  }

  /**
   * From the next read on silence is played and nothing is lost: audio and marks wait, more may be queued. Ends by
   * `resume`, by `clear`, or by itself with the first read at `untilMs`.
   */
  hold(untilMs = Number.POSITIVE_INFINITY): void {
    this.#held = true;
    this.#heldUntilMs = untilMs;
  }

  /** Goes on where `hold` stopped. */
  resume(): void {
    this.#held = false;
  }

  /** Drops everything that waits, at once; marks in it fire as cleared. Returns how much was cut, ms. May be called at any time. */
  clear(): number {
    this.#held = false;
    this.#isIncomplete = false;
    this.#halfSample = undefined;
    this.#cadence?.restart();
    const cut = this.#ring.length;
    this.stats.clearedBytes += cut;
    this.#becomeIdle();
    // What comes next is a new utterance, however soon.
    this.#dryAtMs = Number.NEGATIVE_INFINITY;
    this.#fireMarks(true);
    return cut / this.#bytesPerMs;
  }

  /**
   * Sets a mark behind what is queued now; with nothing queued it fires at once. It fires as cleared where audio between it and the
   * mark before was refused. False: too many marks wait, it was refused.
   */
  mark(name: string): boolean {
    if (this.#ring.length > 0 && this.#marks.length === MAX_MARKS) return false;
    const isIncomplete = this.#isIncomplete;
    this.#isIncomplete = false;
    if (this.#ring.length === 0) this.#options.onMark(name, isIncomplete);
    else this.#marks.push({ name, dueBytes: this.#consumedBytes() + this.#ring.length, isIncomplete });
    return true;
  }

  /**
   * Plays out what is queued without waiting for more, to the last byte but for trailing silence over its limit, then
   * calls `onDrained`; later writes are refused.
   */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#trimSilence();
  }

  /** Leaves out a frame that is silent, where another one follows. */
  #catchUp(): void {
    const { bytesPerFrame, encoding = 'pcmu' } = this.#options;
    if (this.#ring.length < 2 * bytesPerFrame) return;
    if (!this.#ring.firstPass(bytesPerFrame, this.#bytesPerSample, quietSample(encoding))) return;
    this.#ring.dropFirst(bytesPerFrame);
    this.#behindFrames--;
    this.#caughtUpBytes += bytesPerFrame;
    this.stats.trimmedBytes += bytesPerFrame;
  }

  #trimSilence(): void {
    const { trailingSilenceMs = Number.POSITIVE_INFINITY, encoding = 'pcmu' } = this.#options;
    const keep = this.#wholeBytes(trailingSilenceMs);
    if (keep >= this.#ring.length) return;
    const cut = this.#ring.countLast(this.#bytesPerSample, quietSample(encoding)) - keep;
    if (cut <= 0) return;
    this.#ring.dropLast(cut);
    this.stats.trimmedBytes += cut;
    const lastDue = this.#consumedBytes() + this.#ring.length;
    for (const mark of this.#marks) mark.dueBytes = Math.min(mark.dueBytes, lastDue);
    this.#fireMarks(false);
  }

  /** Bytes of so many ms, in whole samples. */
  #wholeBytes(ms: number): number {
    return Math.floor((ms * this.#bytesPerMs) / this.#bytesPerSample) * this.#bytesPerSample;
  }

  #append(source: Buffer, start: number, end: number, nowMs: number): number {
    const accepted = this.#admit(end - start);
    if (accepted === 0) return 0;
    this.#ring.write(source, start, start + accepted);
    this.#grown(accepted, nowMs);
    return accepted;
  }

  /** Does a message of `bytes` begin or end within a sample? */
  #splitsSample(bytes: number): boolean {
    return this.#bytesPerSample === 2 && (this.#halfSample !== undefined || bytes % 2 === 1);
  }

  #wholeSamples(message: Buffer): Buffer {
    const bytes = this.#halfSample === undefined ? message : Buffer.concat([this.#halfSample, message]);
    const whole = bytes.length - (bytes.length % 2);
    this.#halfSample = whole === bytes.length ? undefined : Buffer.of(bytes[whole] as number);
    return bytes.subarray(0, whole);
  }

  /** Bytes of a message of `bytes` that may be queued; the others are counted. */
  #admit(bytes: number): number {
    this.stats.offeredBytes += bytes;
    if (this.#draining) {
      this.stats.afterDrainBytes += bytes;
      if (bytes > 0) this.#isIncomplete = true;
      return 0;
    }
    const accepted = Math.min(bytes, this.#maxBytes - this.#ring.length);
    this.stats.overflowBytes += bytes - accepted;
    if (accepted < bytes) this.#isIncomplete = true;
    return accepted;
  }

  #grown(bytes: number, nowMs: number): void {
    this.stats.highWaterMs = Math.max(this.stats.highWaterMs, this.queuedMs);
    this.#cadence?.arrived(bytes / this.#bytesPerMs, nowMs, this.#state === 'idle');
    if (this.#state !== 'idle') return;
    this.#state = 'priming';
    this.#primingSinceMs = nowMs;
    this.#firstWriteBytes = bytes;
    this.#inUnderrun = nowMs - this.#dryAtMs < UNDERRUN_WINDOW_MS;
    if (this.#inUnderrun) this.stats.underruns++;
  }

  /**
   * Is it time to begin? The pre-buffer is a delay, not an amount: a bot whose messages hold 137 ms has to wait as long
   * as one that sends 40 ms, or its first late message tears the sentence. A bot that is ahead of real time need not wait.
   */
  #isPrimed(nowMs: number): boolean {
    const { prebufferMs } = this;
    return (
      this.#draining ||
      nowMs - this.#primingSinceMs >= prebufferMs ||
      this.#ring.length >= this.#firstWriteBytes + prebufferMs * this.#bytesPerMs ||
      this.queuedMs >= START_AT_ONCE_MS
    );
  }

  #startPlaying(nowMs: number): void {
    this.#state = 'playing';
    if (this.#inUnderrun) this.stats.longestGapMs = Math.max(this.stats.longestGapMs, nowMs - this.#dryAtMs);
    this.#inUnderrun = false;
  }

  /** A frame could not be filled. Audio that comes before the next read, on the other hand, is in time. */
  #runDry(nowMs: number): void {
    this.#becomeIdle();
    this.#dryAtMs = nowMs;
  }

  #becomeIdle(): void {
    this.#state = 'idle';
    this.#behindFrames = 0;
    this.#ring.clear();
  }

  #consumedBytes(): number {
    return this.stats.playedBytes + this.stats.clearedBytes + this.#caughtUpBytes;
  }

  #fireMarks(cleared: boolean): void {
    // The listener may queue or clear: look at the list afresh each time.
    for (
      let mark = this.#marks[0];
      mark !== undefined && mark.dueBytes <= this.#consumedBytes();
      mark = this.#marks[0]
    ) {
      this.#marks.shift();
      this.#options.onMark(mark.name, cleared || mark.isIncomplete);
    }
  }
}
