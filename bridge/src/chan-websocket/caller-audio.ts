/** What a caller's audio looks like, and where its frames go. */
export interface CallerAudioOptions {
  readonly frameBytes: number;
  readonly frameMs: number;
  /** The byte that silence is made of. */
  readonly silence: number;
  /** Silence is put in when nothing has come for this long, ms. */
  readonly idleMs: number;
  /** How far the caller's time may run ahead of the clock, ms: what is beyond it is dropped. */
  readonly maxLeadMs: number;
  readonly onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
}

// A leap of our clock is filled by so many frames at once.
const FILL_FRAMES_MAX = 100;
// The least that a message counts for, as in RTP: 400 a second are taken, however little audio each of them has.
const MIN_MESSAGE_MS = 2.5;

/**
 * The caller's time on a media WebSocket, where messages have no timestamps: each lasts as long as its audio, silence is put in while none come,
 * and it never runs ahead of the clock by more than is allowed. Takes the clock as an argument, ms.
 */
export class CallerAudio {
  /** Messages received, frames of silence put in, and messages dropped since the caller's time would have run ahead of the clock. */
  received = 0;
  filledFrames = 0;
  early = 0;
  longestGapMs = 0;
  readonly #options: CallerAudioOptions;
  readonly #silentFrame: Buffer;
  readonly #msPerByte: number;
  #originMs = Number.NaN;
  #lastMs = 0;
  /** Where the next frame lies in the caller's time, ms; and what the messages count for. */
  #positionMs = 0;
  #paceMs = 0;

  constructor(options: CallerAudioOptions) {
    this.#options = options;
    this.#silentFrame = Buffer.alloc(options.frameBytes, options.silence);
    this.#msPerByte = options.frameMs / options.frameBytes;
  }

  /** The caller's time begins, with silence until something comes; without it the first message begins it. */
  begin(nowMs: number): void {
    if (!Number.isNaN(this.#originMs)) return;
    this.#originMs = nowMs;
    this.#lastMs = nowMs;
  }

  /** A message of audio came; it is valid during the call only. */
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

  /** Once a frame. */
  tick(nowMs: number): void {
    if (Number.isNaN(this.#originMs)) return;
    // As in RTP: before the first message none can be delayed; later, stay behind the clock so that what is delayed by less loses nothing.
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
