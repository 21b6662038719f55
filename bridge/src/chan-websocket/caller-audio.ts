/** Format of the caller's audio, and the consumer of its frames. */
export interface CallerAudioOptions {
  readonly frameBytes: number;
  readonly frameMs: number;
  /** The byte value of silence. */
  readonly silence: number;
  /** Silence is inserted when nothing has arrived for this time, ms. */
  readonly idleMs: number;
  /** How far the caller's timeline may run ahead of the clock, ms. Audio beyond it is dropped. */
  readonly maxLeadMs: number;
  readonly onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
}

// Limit of frames inserted at once, when the clock jumps.
const FILL_FRAMES_MAX = 100;
// Shortest duration that a message counts for, ms, as in RTP: limits a sender to 400 messages per
// second.
const MIN_MESSAGE_MS = 2.5;

/**
 * The caller's timeline on a media WebSocket, where messages have no timestamps. Each message lasts
 * as long as its audio. Silence is inserted while none arrives. The timeline never runs ahead of
 * the clock by more than `maxLeadMs`. The clock is an argument, ms.
 */
export class CallerAudio {
  /**
   * Messages received, silent frames inserted, and messages dropped because the timeline would run
   * too far ahead of the clock.
   */
  received = 0;
  filledFrames = 0;
  early = 0;
  longestGapMs = 0;
  readonly #options: CallerAudioOptions;
  readonly #silentFrame: Buffer;
  readonly #msPerByte: number;
  #originMs = Number.NaN;
  #lastMs = 0;
  /**
   * Start of the next frame on the caller's timeline, ms, and the time that messages have used up.
   */
  #positionMs = 0;
  #paceMs = 0;

  constructor(options: CallerAudioOptions) {
    this.#options = options;
    this.#silentFrame = Buffer.alloc(options.frameBytes, options.silence);
    this.#msPerByte = options.frameMs / options.frameBytes;
  }

  /**
   * Begins the caller's timeline, with silence until audio arrives. Else the first message begins
   * it.
   */
  begin(nowMs: number): void {
    if (!Number.isNaN(this.#originMs)) return;
    this.#originMs = nowMs;
    this.#lastMs = nowMs;
  }

  /** Takes an audio message. It is valid during the call only. */
  push(data: Buffer, nowMs: number): void {
    this.begin(nowMs);
    const sinceMs = nowMs - this.#lastMs;
    const elapsedMs = nowMs - this.#originMs;
    if (this.received === 0) this.#fillUpTo(elapsedMs);
    if (this.received > 0) this.longestGapMs = Math.max(this.longestGapMs, sinceMs);
    this.received += 1;
    this.#lastMs = nowMs;
    if (data.length === 0) return;
    const lengthMs = data.length * this.#msPerByte;
    const limitMs = elapsedMs + this.#options.maxLeadMs;
    const paceMs = Math.max(this.#paceMs, elapsedMs) + MIN_MESSAGE_MS;
    if (this.#positionMs + lengthMs > limitMs || paceMs > limitMs) {
      this.early += 1;
      return;
    }
    this.#paceMs = paceMs;
    this.#emit(data, lengthMs);
  }

  /** Call it once per frame. */
  tick(nowMs: number): void {
    if (Number.isNaN(this.#originMs)) return;
    // As in RTP: stay `idleMs` behind the clock, so that messages delayed by less lose nothing.
    // Before the first message there is no delay.
    const behindMs = this.received === 0 ? 0 : this.#options.idleMs;
    if (nowMs - this.#lastMs >= behindMs) this.#fillUpTo(nowMs - behindMs - this.#originMs);
  }

  #fillUpTo(elapsedMs: number): void {
    const due = Math.floor((elapsedMs - this.#positionMs) / this.#options.frameMs);
    for (let i = Math.min(due, FILL_FRAMES_MAX); i > 0; i--) {
      this.filledFrames += 1;
      this.#emit(this.#silentFrame, this.#options.frameMs);
    }
  }

  #emit(source: Buffer, lengthMs: number): void {
    const timestampMs = Math.round(this.#positionMs);
    this.#positionMs += lengthMs;
    this.#options.onFrame(source, 0, source.length, timestampMs);
  }
}
