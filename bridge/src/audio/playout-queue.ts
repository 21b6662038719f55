import { ByteRing } from './byte-ring.ts';
import { Cadence } from './cadence.ts';
import { bytesPerSample, type Encoding, quietSample } from './format.ts';
import { PlayoutMarks } from './playout-marks.ts';
import { noPlayoutStats, type PlayoutStats } from './playout-stats.ts';

// With this much queued playout starts at once. A real-time bot does not send so much ahead.
const START_AT_ONCE_MS = 1000;
// Audio within this time after the queue ran dry was late (underrun). After it, it is a new
// utterance.
const UNDERRUN_WINDOW_MS = 500;

/** Result of one read: audio of the bot (its last frame is padded), or silence if there is none. */
export type FrameKind = 'audio' | 'silence';

/** Size, limits and callbacks of a queue. */
export interface PlayoutQueueOptions {
  /** Bytes of one frame. */
  bytesPerFrame: number;
  /** Duration of one frame, ms. */
  frameMs: number;
  /** The byte value of silence. */
  silence: number;
  /** Encoding of the samples. Default: G.711 mu-law. */
  encoding?: Encoding;
  /**
   * How long the first audio of an utterance waits, ms: evens out a bot that sends in bursts.
   * `adaptive`: found from the bot's cadence.
   */
  prebufferMs: number | 'adaptive';
  /** Trailing silence that a drain plays, ms; more is cut. Default: all of it. */
  trailingSilenceMs?: number;
  /** Limit of the queue, ms. Audio beyond it is refused and counted. */
  maxMs: number;
  /** Called when all audio queued before a mark was read or cleared. */
  onMark: (name: string, cleared: boolean) => void;
  /** Called once, by the first read after the last frame of a drain. */
  onDrained: () => void;
}

/**
 * Queues a bot's audio until playout. Messages of any size go in, frames of fixed size come out.
 * `idle`: empty. `priming`: the first audio waits for more. `playing`: until it runs dry.
 */
export class PlayoutQueue {
  readonly stats: PlayoutStats = noPlayoutStats();
  readonly #options: PlayoutQueueOptions;
  readonly #bytesPerMs: number;
  readonly #bytesPerSample: number;
  readonly #maxBytes: number;
  readonly #cadence: Cadence | undefined;
  /** First byte of a sample whose second byte comes next. The ring holds whole samples only. */
  #halfSample: Buffer | undefined;
  readonly #ring = new ByteRing();
  #state: 'idle' | 'priming' | 'playing' = 'idle';
  #primingSinceMs = 0;
  #firstWriteBytes = 0;
  /** When the queue last ran dry, unless it was cleared since. */
  #dryAtMs = Number.NEGATIVE_INFINITY;
  #inUnderrun = false;
  #isPaused = false;
  #pausedUntilMs = 0;
  /** Frames not played because of late ticks, not yet made up for. */
  #behindFrames = 0;
  /** Bytes cut to make up for them. */
  #caughtUpBytes = 0;
  #draining = false;
  #drained = false;
  readonly #marks: PlayoutMarks;

  constructor(options: PlayoutQueueOptions) {
    this.#options = options;
    this.#bytesPerMs = options.bytesPerFrame / options.frameMs;
    this.#bytesPerSample = bytesPerSample(options.encoding ?? 'pcmu');
    this.#maxBytes = this.#wholeBytes(options.maxMs);
    this.#marks = new PlayoutMarks(options.onMark);
    if (options.prebufferMs === 'adaptive') this.#cadence = new Cadence();
  }

  /** Queued audio, ms. */
  get queuedMs(): number {
    return this.#ring.length / this.#bytesPerMs;
  }

  /** Audio played so far, ms. */
  get playedMs(): number {
    return this.stats.playedBytes / this.#bytesPerMs;
  }

  /** Audio refused so far because the queue was full, ms. */
  get overflowMs(): number {
    return this.stats.overflowBytes / this.#bytesPerMs;
  }

  /** Audio dropped by `clear` so far, ms. */
  get clearedMs(): number {
    return this.stats.clearedBytes / this.#bytesPerMs;
  }

  /** Delay of the first audio of the next utterance, ms. */
  get prebufferMs(): number {
    return this.#cadence?.delayMs ?? (this.#options.prebufferMs as number);
  }

  /** Whether the bot's audio is played or waits to start. */
  get playing(): boolean {
    return this.#state !== 'idle';
  }

  /** Whether `pause` is in force. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** True from the read that called `onDrained`. */
  get drained(): boolean {
    return this.#drained;
  }

  /**
   * Queues the audio `source[start..end)` of a message. Returns the bytes accepted, whole samples.
   */
  write(source: Buffer, start: number, end: number, nowMs: number): number {
    if (this.#splitsSample(end - start)) {
      const whole = this.#wholeSamples(source.subarray(start, end));
      return this.#append(whole, 0, whole.length, nowMs);
    }
    return this.#append(source, start, end, nowMs);
  }

  /** Writes the next frame to `target` at `offset`. Call it once per frame. */
  read(target: Buffer, offset: number, nowMs: number): FrameKind {
    const { bytesPerFrame, silence } = this.#options;
    if (this.#isPaused && nowMs >= this.#pausedUntilMs) this.#isPaused = false;
    if (this.#isPaused) {
      target.fill(silence, offset, offset + bytesPerFrame);
      this.stats.silenceFrames++;
      this.stats.pausedFrames++;
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
    if (this.#marks.pending > 0) this.#marks.fire(this.#consumedBytes(), false);
    return 'audio';
  }

  /**
   * The grid advanced by `frames` frames that were not read. Without correction all later audio
   * would be late by as much. So silent frames in the bot's audio are dropped to make up for them.
   */
  skip(frames: number): void {
    if (this.#state === 'playing' && !this.#isPaused) this.#behindFrames += frames;
  }

  /**
   * Plays silence from the next read on. Audio and marks stay queued, and more may be queued. Ends
   * with `resume`, `clear`, or the first read at `untilMs`.
   */
  pause(untilMs = Number.POSITIVE_INFINITY): void {
    this.#isPaused = true;
    this.#pausedUntilMs = untilMs;
  }

  /** Ends a `pause`. */
  resume(): void {
    this.#isPaused = false;
  }

  /**
   * Drops all queued audio at once and fires its marks as cleared. Returns the audio dropped, ms.
   */
  clear(): number {
    this.#isPaused = false;
    this.#halfSample = undefined;
    this.#cadence?.restart();
    const cut = this.#ring.length;
    this.stats.clearedBytes += cut;
    this.#becomeIdle();
    // The next audio is a new utterance, however soon it comes.
    this.#dryAtMs = Number.NEGATIVE_INFINITY;
    this.#marks.audioCleared(this.#consumedBytes());
    return cut / this.#bytesPerMs;
  }

  /**
   * Sets a mark after the audio queued now. With nothing queued it fires at once. It fires as
   * cleared if audio since the last mark was refused. Returns false if too many marks are pending.
   */
  mark(name: string): boolean {
    return this.#marks.set(name, this.#consumedBytes(), this.#ring.length);
  }

  /**
   * Plays all queued audio without waiting for more, then calls `onDrained`. Trailing silence over
   * the limit is cut. Later writes are refused.
   */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#trimSilence();
  }

  /** Drops a silent frame if another frame follows. */
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
    const keptBytes = this.#wholeBytes(trailingSilenceMs);
    if (keptBytes >= this.#ring.length) return;
    const cut = this.#ring.countLast(this.#bytesPerSample, quietSample(encoding)) - keptBytes;
    if (cut <= 0) return;
    this.#ring.dropLast(cut);
    this.stats.trimmedBytes += cut;
    this.#marks.audioTrimmed(this.#consumedBytes(), this.#ring.length);
  }

  /** Bytes of `ms` of audio, whole samples. */
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

  /** Whether a message of `bytes` begins or ends within a sample. */
  #splitsSample(bytes: number): boolean {
    return this.#bytesPerSample === 2 && (this.#halfSample !== undefined || bytes % 2 === 1);
  }

  #wholeSamples(message: Buffer): Buffer {
    const bytes = this.#halfSample === undefined ? message : Buffer.concat([this.#halfSample, message]);
    const whole = bytes.length - (bytes.length % 2);
    this.#halfSample = whole === bytes.length ? undefined : Buffer.of(bytes[whole] as number);
    return bytes.subarray(0, whole);
  }

  /** How many of `bytes` bytes may be queued. Counts the others. */
  #admit(bytes: number): number {
    this.stats.offeredBytes += bytes;
    if (this.#draining) {
      this.stats.afterDrainBytes += bytes;
      if (bytes > 0) this.#marks.audioRefused();
      return 0;
    }
    const accepted = Math.min(bytes, this.#maxBytes - this.#ring.length);
    this.stats.overflowBytes += bytes - accepted;
    if (accepted < bytes) this.#marks.audioRefused();
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
   * Whether playout may start. The pre-buffer is a delay, not an amount of audio: a bot that sends
   * 137 ms per message must wait as long as one that sends 40 ms. A bot ahead of real time need not
   * wait.
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

  /** A frame could not be filled. Audio that comes before the next read is still on time. */
  #runDry(nowMs: number): void {
    this.#becomeIdle();
    this.#dryAtMs = nowMs;
  }

  #becomeIdle(): void {
    this.#state = 'idle';
    this.#behindFrames = 0;
    this.#ring.clear();
  }

  /** Bytes that left the queue at its head: played, cleared, or cut to catch up. */
  #consumedBytes(): number {
    return this.stats.playedBytes + this.stats.clearedBytes + this.#caughtUpBytes;
  }
}
