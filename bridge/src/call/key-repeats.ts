/**
 * Detects DTMF events that Asterisk reports twice. Pure: time comes from the events.
 * Asterisk reports a digit at its end (RFC 4733 section 2.5.1.3). For the other legs it makes each
 * digit at least 80 ms long. A shorter one is extended. A digit that began within 45 ms after the
 * previous one is played again from its end on.
 * A digit that ends meanwhile, or within 45 ms after, is put back into the queue. Asterisk reads it
 * again after these 45 ms and reports it again (`__ast_read` in main/channel.c).
 * The event itself does not show that it is a repeat. Asterisk reads the queue in order, before new
 * frames, so time and order show it.
 */

import { FRAME_MS } from '../audio/format.ts';

/** Asterisk's `AST_MIN_DTMF_GAP`. */
const GAP_MS = 45;
/** Asterisk's default `mindtmfduration`. */
const SHORTEST_MS = 80;
/** How much too early an event's timestamp may be. */
const EARLY_MS = 3;
/**
 * How much later than expected an event still counts as a repeat: first if the digit was possibly
 * put back, then if it certainly was.
 */
const LATE_MS = 100;
const LATE_CERTAIN_MS = 500;
/**
 * Two ends of one digit with a shorter pause between them, beyond its length, are not two key
 * presses.
 */
const PAUSE_MS = 25;
/** Longest queue. Asterisk reads one digit in 125 ms. */
const MAX_WAITING = 128;

/** A DTMF digit that Asterisk reports at its end. */
export interface HeardKey {
  readonly digit: string;
  readonly durationMs: number;
  /** Asterisk's clock, Unix time, ms. NaN if the event has no timestamp. */
  readonly atMs: number;
}

interface WaitingKey extends HeardKey {
  /** Asterisk has certainly put it back. Otherwise it is only possible. */
  readonly isCertain: boolean;
}

/** When Asterisk stops playing a digit: between these times, Unix time, ms. */
interface Playing {
  readonly fromMs: number;
  readonly toMs: number;
  readonly isCertain: boolean;
}

/** The digits of one caller. */
export class KeyRepeats {
  #playing: Playing = { fromMs: 0, toMs: 0, isCertain: false };
  /** Digits that Asterisk has put back, certainly or possibly. */
  readonly #waiting: WaitingKey[] = [];

  /** Processes the next event. Returns true if it reports a digit that was reported before. */
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

  /**
   * A digit that should have been read again by now was not put back: it may be the one that is
   * played.
   */
  #giveUp(nowMs: number): void {
    for (let [first] = this.#waiting; first; [first] = this.#waiting) {
      const lateMs = first.isCertain ? LATE_CERTAIN_MS : LATE_MS;
      if (nowMs <= this.#playing.toMs + GAP_MS + lateMs) return;
      this.#waiting.shift();
      this.#playing = maybeReplayed(first);
    }
  }

  /** Whether an event is this queued digit, read again. */
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
    // Asterisk works in frames, and the first packet of a digit may arrive a frame late.
    if (waits || key.atMs < toMs + GAP_MS + 3 * FRAME_MS) {
      if (this.#waiting.length === MAX_WAITING) return;
      this.#waiting.push({ ...key, isCertain: isCertain && (waits || key.atMs < fromMs + GAP_MS) });
      return;
    }
    const beganMs = key.atMs - key.durationMs;
    this.#playing = beganMs < toMs + GAP_MS + FRAME_MS ? maybeReplayed(key) : heldOn(key);
  }
}

/** A digit that is played again from its end on. */
function replayed({ atMs, durationMs }: HeardKey, isCertain: boolean): Playing {
  const endMs = atMs + Math.max(durationMs, SHORTEST_MS);
  return { fromMs: endMs, toMs: endMs, isCertain };
}

/**
 * A digit that was played when it arrived. Asterisk extends it by twice the time it lacks. Its
 * beginning may have been late.
 */
function heldOn({ atMs, durationMs }: HeardKey): Playing {
  const lacksMs = SHORTEST_MS - 2 * durationMs;
  const [fromMs, toMs] = [lacksMs, lacksMs + 2 * FRAME_MS].map((ms) => atMs + Math.max(0, ms));
  return { fromMs: fromMs ?? atMs, toMs: toMs ?? atMs, isCertain: false };
}

/** A digit that was played again, or when it arrived. */
function maybeReplayed(key: HeardKey): Playing {
  return { ...replayed(key, false), fromMs: heldOn(key).fromMs };
}
