import { audibleIn } from '../audio/audible.ts';
import type { Encoding } from '../audio/format.ts';

/** Time limits of a line without audio, ms; 0: none. */
export interface LineLimits {
  /** Without audio from Asterisk for this time the media is dead. */
  readonly mediaTimeoutMs: number;
  /** Without sound of the caller or the bot for this time the call is abandoned. */
  readonly silenceLimitMs: number;
}

/**
 * After this fraction of the time limit without audio `line-quiet` is reported. Packets that arrive
 * in the rest of the time are signs of life.
 */
const QUIET_PART = 10;
/** A process that missed this much time stood still, and nothing could arrive, ms. */
const STANDSTILL_MS = 1_000;
/** Longer than any call, ms. */
const EVER_MS = 1e9;

/** Detects a line that is dead or silent for too long. The clock is an argument, ms. */
export class LineWatch {
  readonly #limits: LineLimits;
  /** A gap in the received audio up to this long needs no check, ms; -1: check each frame. */
  readonly #uncheckedGapMs: number;
  readonly #isAudible: ReturnType<typeof audibleIn> | undefined;
  /**
   * Start of the time in which audio is expected; infinite while the call is on hold or
   * transferred.
   */
  #sinceMs = 0;
  #soundMs = 0;
  /** End of the last standstill of the process: the time limits start again. */
  #wokeMs = Number.NEGATIVE_INFINITY;
  /** When the caller was last found to be present without audio. */
  #livesMs = Number.NEGATIVE_INFINITY;
  #isReported = false;
  /** Time of the last audio before the pause that was reported. */
  #quietMs = Number.NaN;

  constructor(limits: LineLimits, encoding: Encoding) {
    this.#limits = limits;
    const { mediaTimeoutMs, silenceLimitMs } = limits;
    if (silenceLimitMs > 0) this.#uncheckedGapMs = -1;
    else this.#uncheckedGapMs = mediaTimeoutMs > 0 ? Math.floor(mediaTimeoutMs / QUIET_PART) : EVER_MS;
    if (limits.silenceLimitMs > 0) this.#isAudible = audibleIn(encoding);
  }

  /**
   * The caller is present: the time limit for audio starts again. The limit for silence does not.
   */
  lives(nowMs: number): void {
    this.#isReported = false;
    this.#livesMs = nowMs;
  }

  /** Sets whether audio is expected from now on. */
  expect(isExpected: boolean, nowMs: number): void {
    this.#sinceMs = isExpected ? nowMs : Number.POSITIVE_INFINITY;
  }

  /** No frame was played for this time, since this process was late. */
  missed(ms: number, nowMs: number): void {
    if (ms > STANDSTILL_MS) this.#wokeMs = nowMs;
  }

  /** Takes a frame of either direction. */
  heard(source: Buffer, start: number, end: number, nowMs: number): void {
    if (this.#isAudible?.(source, start, end)) this.#soundMs = nowMs;
  }

  /**
   * Call it once per frame. `receivedMs`: when data last arrived from Asterisk. Reports a problem
   * once, and each pause of the audio once (`line-quiet`).
   */
  check(receivedMs: number, nowMs: number): 'line-quiet' | 'media-timeout' | 'silence' | undefined {
    if (this.#isReported || nowMs - receivedMs <= this.#uncheckedGapMs) return undefined;
    const { mediaTimeoutMs, silenceLimitMs } = this.#limits;
    const quietMs = nowMs - Math.max(receivedMs, this.#sinceMs, this.#livesMs, this.#wokeMs);
    const isDead = mediaTimeoutMs > 0 && quietMs > mediaTimeoutMs;
    const soundMs = Math.max(this.#soundMs, this.#sinceMs, this.#wokeMs);
    const isSilent = silenceLimitMs > 0 && nowMs - soundMs > silenceLimitMs;
    this.#isReported = isDead || isSilent;
    if (isDead) return 'media-timeout';
    if (isSilent) return 'silence';
    if (mediaTimeoutMs === 0 || receivedMs === this.#quietMs) return undefined;
    if (quietMs <= mediaTimeoutMs / QUIET_PART) return undefined;
    this.#quietMs = receivedMs;
    return 'line-quiet';
  }
}
