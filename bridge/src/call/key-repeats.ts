/**
 * Which keys Asterisk has told twice. Pure: time is what the events say.
 *
 * Asterisk tells of a key at its end (RFC 4733 section 2.5.1.3), and makes it last 80 ms for the other legs: it holds a shorter one
 * on, and plays one whose beginning came within 45 ms of the key before anew from its end on. A key that ends meanwhile, or within
 * 45 ms after, is put back and read again when these 45 ms are over, and told again then (`__ast_read` in main/channel.c). What
 * waits is read before what comes, in order, so time and order say which event is a second one; the event itself does not.
 */

import { FRAME_MS } from '../audio/format.ts';

/** What Asterisk's `AST_MIN_DTMF_GAP` is. */
const GAP_MS = 45;
/** Asterisk's `mindtmfduration`, its default. */
const SHORTEST_MS = 80;
/** An event's timestamp may be so much early. */
const EARLY_MS = 3;
/** So much later than expected a second event still is one: where it was only possible, and where it was certain. */
const LATE_MS = 100;
const LATE_CERTAIN_MS = 500;
/** Less time than this between two ends of a key, beyond its length, is no pause: nobody has pressed it again. */
const PAUSE_MS = 25;
/** Keys that wait, at most; Asterisk reads one in 125 ms. */
const MAX_WAITING = 128;

/** A key that Asterisk tells of, at its end. */
export interface HeardKey {
  readonly digit: string;
  readonly durationMs: number;
  /** Asterisk's clock, ms since 1970; NaN where it did not say. */
  readonly atMs: number;
}

interface WaitingKey extends HeardKey {
  /** Asterisk has put it back for certain; else it may have. */
  readonly isCertain: boolean;
}

/** Until when Asterisk plays a key: from the one to the other time, ms since 1970. */
interface Playing {
  readonly fromMs: number;
  readonly toMs: number;
  readonly isCertain: boolean;
}

/** The keys of one caller. */
export class KeyRepeats {
  #playing: Playing = { fromMs: 0, toMs: 0, isCertain: false };
  /** Those put back, or maybe put back, meanwhile. */
  readonly #waiting: WaitingKey[] = [];

  /** Takes the next event; true where it tells of a key that was told of before. */
  isRepeat(key: HeardKey): boolean {
    if (Number.isNaN(key.atMs)) return false;
    this.#giveUp(key.atMs);
    const at = this.#waiting.findIndex((waiting, index) => this.#reads(waiting, index, key));
    if (at >= 0) {
      this.#waiting.splice(0, at + 1);
      this.#playing = replayed(key, true);
      return true;
    }
    this.#pressed(key);
    return false;
  }

  /** What should have been read again by now was not put back. So it may be what is played. */
  #giveUp(nowMs: number): void {
    for (let [first] = this.#waiting; first; [first] = this.#waiting) {
      const lateMs = first.isCertain ? LATE_CERTAIN_MS : LATE_MS;
      if (nowMs <= this.#playing.toMs + GAP_MS + lateMs) return;
      this.#waiting.shift();
      this.#playing = maybeReplayed(first);
    }
  }

  /** Whether a key is this one that waits, read again. */
  #reads(waiting: WaitingKey, index: number, key: HeardKey): boolean {
    if (waiting.digit !== key.digit || waiting.durationMs !== key.durationMs) return false;
    if (key.atMs < this.#playing.fromMs + GAP_MS - EARLY_MS) return false;
    if (this.#waiting.slice(0, index).some(({ isCertain }) => isCertain)) return false;
    const last = this.#waiting.at(-1);
    const sinceLastMs = last?.digit === key.digit ? key.atMs - last.atMs : 0;
    return waiting.isCertain || sinceLastMs < key.durationMs + PAUSE_MS;
  }

  #pressed(key: HeardKey): void {
    const { fromMs, toMs, isCertain } = this.#playing;
    const waits = this.#waiting.length > 0;
    // Asterisk acts at frames, and a phone's first packet of a key may come a frame late.
    if (waits || key.atMs < toMs + GAP_MS + 3 * FRAME_MS) {
      if (this.#waiting.length === MAX_WAITING) return;
      this.#waiting.push({ ...key, isCertain: isCertain && (waits || key.atMs < fromMs + GAP_MS) });
      return;
    }
    const beganMs = key.atMs - key.durationMs;
    this.#playing = beganMs < toMs + GAP_MS + FRAME_MS ? maybeReplayed(key) : heldOn(key);
  }
}

/** A key played anew from its end on. */
function replayed({ atMs, durationMs }: HeardKey, isCertain: boolean): Playing {
  const endMs = atMs + Math.max(durationMs, SHORTEST_MS);
  return { fromMs: endMs, toMs: endMs, isCertain };
}

/** A key played when it came: Asterisk holds it on for twice what it lacks, by a beginning that may have been late. */
function heldOn({ atMs, durationMs }: HeardKey): Playing {
  const lacksMs = SHORTEST_MS - 2 * durationMs;
  const [fromMs, toMs] = [lacksMs, lacksMs + 2 * FRAME_MS].map((ms) => atMs + Math.max(0, ms));
  return { fromMs: fromMs ?? atMs, toMs: toMs ?? atMs, isCertain: false };
}

/** A key played anew, or when it came. */
function maybeReplayed(key: HeardKey): Playing {
  return { ...replayed(key, false), fromMs: heldOn(key).fromMs };
}
