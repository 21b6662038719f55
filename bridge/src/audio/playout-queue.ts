// Rings begin at this size and return to it; a second and a bit of G.711, more than a bot in real time ever needs.
const INITIAL_BYTES = 8192;
// A ring that grew beyond this for a burst is given back once it has run empty.
const KEEP_BYTES = 65536;
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
  /** How long the first audio of an utterance waits for more, ms: evens out a bot that sends in steps. */
  prebufferMs: number;
  /** Limit of the queue, ms; what is beyond is refused and counted. */
  maxMs: number;
  /** Called when everything queued before a mark has been read, or cleared. */
  onMark: (name: string, cleared: boolean) => void;
  /** Called once, by the first read after the last frame was handed over in a drain. */
  onDrained: () => void;
}

/** Figures of one queue. `offeredBytes` = played + cleared + refused + still queued, in bytes. */
export interface PlayoutStats {
  offeredBytes: number;
  playedBytes: number;
  clearedBytes: number;
  /** Refused because the queue was full. */
  overflowBytes: number;
  /** Refused because the queue was draining: nothing is said after the goodbye. */
  afterDrainBytes: number;
  audioFrames: number;
  silenceFrames: number;
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
    audioFrames: 0,
    silenceFrames: 0,
    underruns: 0,
    longestGapMs: 0,
    highWaterMs: 0,
  };
  readonly #options: PlayoutQueueOptions;
  readonly #bytesPerMs: number;
  readonly #maxBytes: number;
  #ring = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #head = 0;
  #queued = 0;
  #state: 'idle' | 'priming' | 'playing' = 'idle';
  #primingSinceMs = 0;
  #firstWriteBytes = 0;
  /** When the queue last ran dry, unless it was cleared since. */
  #dryAtMs = Number.NEGATIVE_INFINITY;
  #inUnderrun = false;
  #draining = false;
  #drained = false;
  readonly #marks: Mark[] = [];

  constructor(options: PlayoutQueueOptions) {
    this.#options = options;
    this.#bytesPerMs = options.bytesPerFrame / options.frameMs;
    this.#maxBytes = Math.floor(options.maxMs * this.#bytesPerMs);
  }

  /** Audio that waits, ms. */
  get queuedMs(): number {
    return this.#queued / this.#bytesPerMs;
  }

  /** Audio heard so far, ms. */
  get playedMs(): number {
    return this.stats.playedBytes / this.#bytesPerMs;
  }

  /** Audio cut off by `clear` so far, ms. */
  get clearedMs(): number {
    return this.stats.clearedBytes / this.#bytesPerMs;
  }

  /** True from the read that called `onDrained`. */
  get drained(): boolean {
    return this.#drained;
  }

  /** Queues `source[start..end)`, the audio of one message; returns how many of its bytes were accepted. */
  write(source: Buffer, start: number, end: number, nowMs: number): number {
    const accepted = this.#admit(end - start);
    if (accepted === 0) return 0;
    const tail = this.#tail();
    const upToEnd = Math.min(accepted, this.#ring.length - tail);
    source.copy(this.#ring, tail, start, start + upToEnd);
    source.copy(this.#ring, 0, start + upToEnd, start + accepted);
    this.#grown(accepted, nowMs);
    return accepted;
  }

  /** Queues the audio of one message from base64, decoded in place. Returns the bytes accepted; -1: not base64, nothing queued. */
  writeBase64(text: string, nowMs: number): number {
    const bytes = base64Bytes(text);
    if (bytes < 0) return -1;
    const fits = !this.#draining && bytes <= this.#maxBytes - this.#queued;
    if (fits) this.#reserve(bytes);
    const tail = this.#tail();
    if (!fits || bytes > this.#ring.length - tail) {
      // Across the ring's end, once in many messages, or over the limit: by way of a copy.
      const decoded = Buffer.from(text, 'base64');
      return decoded.length === bytes ? this.write(decoded, 0, bytes, nowMs) : -1;
    }
    // The decoder leaves out what is no base64, so a bad text comes out short; nothing queued is behind the tail yet.
    if (this.#ring.write(text, tail, bytes, 'base64') !== bytes) return -1;
    this.stats.offeredBytes += bytes;
    if (bytes > 0) this.#grown(bytes, nowMs);
    return bytes;
  }

  /** Fills `target` from `offset` on with the next frame. Call it once a frame. */
  read(target: Buffer, offset: number, nowMs: number): FrameKind {
    const { bytesPerFrame, silence } = this.#options;
    if (this.#state === 'priming' && this.#isPrimed(nowMs)) this.#startPlaying(nowMs);
    if (this.#state === 'playing' && this.#queued === 0) this.#runDry(nowMs);
    if (this.#state !== 'playing') {
      target.fill(silence, offset, offset + bytesPerFrame);
      this.stats.silenceFrames++;
      if (this.#draining && !this.#drained) {
        this.#drained = true;
        this.#options.onDrained();
      }
      return 'silence';
    }
    const bytes = Math.min(bytesPerFrame, this.#queued);
    const upToEnd = Math.min(bytes, this.#ring.length - this.#head);
    this.#ring.copy(target, offset, this.#head, this.#head + upToEnd);
    this.#ring.copy(target, offset + upToEnd, 0, bytes - upToEnd);
    this.#head = (this.#head + bytes) % this.#ring.length;
    this.#queued -= bytes;
    this.stats.playedBytes += bytes;
    this.stats.audioFrames++;
    if (bytes < bytesPerFrame) {
      target.fill(silence, offset + bytes, offset + bytesPerFrame);
      this.#runDry(nowMs);
    }
    if (this.#marks.length > 0) this.#fireMarks(false);
    return 'audio';
  }

  /** Drops everything that waits, at once; marks in it fire as cleared. Returns how much was cut, ms. May be called at any time. */
  clear(): number {
    const cut = this.#queued;
    this.stats.clearedBytes += cut;
    this.#queued = 0;
    this.#becomeIdle();
    // What comes next is a new utterance, however soon.
    this.#dryAtMs = Number.NEGATIVE_INFINITY;
    this.#fireMarks(true);
    return cut / this.#bytesPerMs;
  }

  /** Sets a mark behind what is queued now; with nothing queued it fires at once. False: too many marks wait, it was refused. */
  mark(name: string): boolean {
    if (this.#queued === 0) {
      this.#options.onMark(name, false);
      return true;
    }
    if (this.#marks.length === MAX_MARKS) return false;
    this.#marks.push({ name, dueBytes: this.#consumedBytes() + this.#queued });
    return true;
  }

  /** Plays out what is queued without waiting for more, to the last byte, then calls `onDrained`; later writes are refused. */
  drain(): void {
    this.#draining = true;
  }

  /** Bytes of a message of `bytes` that may be queued; the others are counted. Makes room for them. */
  #admit(bytes: number): number {
    this.stats.offeredBytes += bytes;
    if (this.#draining) {
      this.stats.afterDrainBytes += bytes;
      return 0;
    }
    const accepted = Math.min(bytes, this.#maxBytes - this.#queued);
    this.stats.overflowBytes += bytes - accepted;
    this.#reserve(accepted);
    return accepted;
  }

  #tail(): number {
    return (this.#head + this.#queued) % this.#ring.length;
  }

  #reserve(bytes: number): void {
    const needed = this.#queued + bytes;
    if (needed <= this.#ring.length) return;
    let size = this.#ring.length;
    while (size < needed) size *= 2;
    const ring = Buffer.allocUnsafeSlow(size);
    const upToEnd = this.#ring.copy(
      ring,
      0,
      this.#head,
      Math.min(this.#head + this.#queued, this.#ring.length),
    );
    this.#ring.copy(ring, upToEnd, 0, this.#queued - upToEnd);
    this.#ring = ring;
    this.#head = 0;
  }

  #grown(bytes: number, nowMs: number): void {
    this.#queued += bytes;
    this.stats.highWaterMs = Math.max(this.stats.highWaterMs, this.queuedMs);
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
    const { prebufferMs } = this.#options;
    return (
      this.#draining ||
      nowMs - this.#primingSinceMs >= prebufferMs ||
      this.#queued >= this.#firstWriteBytes + prebufferMs * this.#bytesPerMs ||
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
    this.#head = 0;
    if (this.#ring.length > KEEP_BYTES) this.#ring = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  #consumedBytes(): number {
    return this.stats.playedBytes + this.stats.clearedBytes;
  }

  #fireMarks(cleared: boolean): void {
    // The listener may queue or clear: look at the list afresh each time.
    for (
      let mark = this.#marks[0];
      mark !== undefined && mark.dueBytes <= this.#consumedBytes();
      mark = this.#marks[0]
    ) {
      this.#marks.shift();
      this.#options.onMark(mark.name, cleared);
    }
  }
}

/** Bytes that a base64 text of this length stands for; -1 when no base64 has this length. Padding may be missing. */
function base64Bytes(text: string): number {
  let length = text.length;
  if (length > 0 && text.charCodeAt(length - 1) === 61) length--;
  if (length > 0 && text.charCodeAt(length - 1) === 61) length--;
  return length % 4 === 1 ? -1 : Math.floor((length * 3) / 4);
}
