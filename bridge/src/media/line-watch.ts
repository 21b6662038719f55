import { audibleIn } from '../audio/audible.ts';
import type { Encoding } from '../audio/format.ts';

/** Limits of what may be missing on a line, ms; 0: none. */
export interface LineLimits {
  /** Without audio from Asterisk for so long the media is dead. */
  readonly mediaTimeoutMs: number;
  /** Without a sound of the caller or the bot for so long nobody is there any more. */
  readonly silenceLimitMs: number;
}

/** Quiet for this part of the time limit, a caller is worth a look: the packets that come in the rest of it are signs of life. */
const QUIET_PART = 10;
/** Longer than any call, ms. */
const EVER_MS = 1e9;

/** Tells when a line has been dead, or silent, for too long. Takes the clock as an argument, ms. */
export class LineWatch {
  readonly #limits: LineLimits;
  /** While audio comes that often, as it does nearly always, there is nothing to look at; -1: there always is. */
  readonly #carefreeMs: number;
  readonly #isAudible: ReturnType<typeof audibleIn> | undefined;
  /** Since when something should be there; never while the call is held or the caller is elsewhere. */
  #sinceMs = 0;
  #soundMs = 0;
  /** When the caller was last found to be there without audio. */
  #livesMs = Number.NEGATIVE_INFINITY;
  #told = false;
  /** The last audio before the quiet that was told of. */
  #quietMs = Number.NaN;

  constructor(limits: LineLimits, encoding: Encoding) {
    this.#limits = limits;
    const { mediaTimeoutMs, silenceLimitMs } = limits;
    if (silenceLimitMs > 0) this.#carefreeMs = -1;
    else this.#carefreeMs = mediaTimeoutMs > 0 ? Math.floor(mediaTimeoutMs / QUIET_PART) : EVER_MS;
    if (limits.silenceLimitMs > 0) this.#isAudible = audibleIn(encoding);
  }

  /** The caller is there after all: the time limit for audio begins anew. What makes no sound is silence all the same. */
  lives(nowMs: number): void {
    this.#told = false;
    this.#livesMs = nowMs;
  }

  /** From now on audio is expected, or not. */
  expect(isExpected: boolean, nowMs: number): void {
    this.#sinceMs = isExpected ? nowMs : Number.POSITIVE_INFINITY;
  }

  /** Takes a frame of either side. */
  heard(source: Buffer, start: number, end: number, nowMs: number): void {
    if (this.#isAudible?.(source, start, end)) this.#soundMs = nowMs;
  }

  /**
   * Once a frame; `receivedMs` is when something last came from Asterisk. Says a problem once, and once of each pause that audio has ceased
   * (`line-quiet`).
   */
  check(receivedMs: number, nowMs: number): 'line-quiet' | 'media-timeout' | 'silence' | undefined {
    if (this.#told || nowMs - receivedMs <= this.#carefreeMs) return undefined;
    const { mediaTimeoutMs, silenceLimitMs } = this.#limits;
    const quietMs = nowMs - Math.max(receivedMs, this.#sinceMs, this.#livesMs);
    const isDead = mediaTimeoutMs > 0 && quietMs > mediaTimeoutMs;
    const isSilent = silenceLimitMs > 0 && nowMs - Math.max(this.#soundMs, this.#sinceMs) > silenceLimitMs;
    this.#told = isDead || isSilent;
    if (isDead) return 'media-timeout';
    if (isSilent) return 'silence';
    if (mediaTimeoutMs === 0 || receivedMs === this.#quietMs) return undefined;
    if (quietMs <= mediaTimeoutMs / QUIET_PART) return undefined;
    this.#quietMs = receivedMs;
    return 'line-quiet';
  }
}
