import { FRAME_MS } from './format.ts';

// A timer may fire a trifle early by its own clock; going back to sleep for that would cost a whole millisecond.
const EARLY_MS = 0.5;

/** Grid and surroundings of a pacer. Clock and timer are those of Node unless a test brings its own. */
export interface PacerOptions {
  /** Period of every member, ms. */
  frameMs?: number;
  /** Phases that the members are spread over, so that they do not all send in one burst. */
  slots?: number;
  /** Monotonic clock, ms. */
  now?: () => number;
  setTimer?: (fire: () => void, delayMs: number) => unknown;
  clearTimer?: (timer: unknown) => void;
  /** Gets what a member throws; the others are called all the same. */
  onError: (error: unknown) => void;
}

/** Figures of a pacer, since it was made. */
export interface PacerStats {
  /** Slots served while they had members. */
  ticks: number;
  /** Of these, the ones that began more than one slot late. */
  lateTicks: number;
  /** Frames that members could not send because a tick was a whole period late or more. */
  skippedFrames: number;
  worstLatenessMs: number;
}

/** A member's way out. */
export interface PacerHandle {
  /** Ends the calls. May be repeated, and called from within a tick. */
  remove(): void;
}

interface Member {
  tick: (skippedFrames: number) => void;
}

/**
 * One clock for all calls: calls every member once a frame on an absolute grid, so that no lateness adds up. A tick that
 * comes too late by whole frames says how many were missed, and is never made up for by a burst.
 */
export class Pacer {
  readonly stats: PacerStats = { ticks: 0, lateTicks: 0, skippedFrames: 0, worstLatenessMs: 0 };
  readonly #now: () => number;
  readonly #setTimer: (fire: () => void, delayMs: number) => unknown;
  readonly #clearTimer: (timer: unknown) => void;
  readonly #onError: (error: unknown) => void;
  readonly #slots: Set<Member>[] = [];
  readonly #slotMs: number;
  readonly #originMs: number;
  #members = 0;
  #timer: unknown;
  /** The next point of the grid to be served, counted from the origin in slots. */
  #next = 0;

  constructor(options: PacerOptions) {
    const { frameMs = FRAME_MS, slots = 4 } = options;
    this.#now = options.now ?? (() => performance.now());
    this.#setTimer = options.setTimer ?? setTimeout;
    this.#clearTimer = options.clearTimer ?? ((timer) => clearTimeout(timer as NodeJS.Timeout));
    this.#onError = options.onError;
    for (let i = 0; i < slots; i++) this.#slots.push(new Set());
    this.#slotMs = frameMs / slots;
    this.#originMs = this.#now();
  }

  /** Members at the moment. */
  get members(): number {
    return this.#members;
  }

  /** Calls `tick` once a frame from now on; `skippedFrames` are those that it came too late for. */
  add(tick: (skippedFrames: number) => void): PacerHandle {
    const slot = this.#slots.reduce((least, other) => (other.size < least.size ? other : least));
    const member = { tick };
    slot.add(member);
    this.#members++;
    if (this.#members === 1) {
      this.#next = Math.max(this.#next, Math.floor((this.#now() - this.#originMs) / this.#slotMs) + 1);
      this.#arm();
    }
    return {
      remove: () => {
        if (!slot.delete(member)) return;
        this.#members--;
        if (this.#members > 0) return;
        this.#clearTimer(this.#timer);
        this.#timer = undefined;
      },
    };
  }

  /** For work that takes long within one turn of the event loop, to be called now and then: what is due need not wait for its end. */
  keepTime(): void {
    if (this.#timer === undefined || this.#now() < this.#originMs + this.#next * this.#slotMs) return;
    this.#clearTimer(this.#timer);
    this.#fire();
  }

  #arm(): void {
    const delayMs = this.#originMs + this.#next * this.#slotMs - this.#now();
    // Timers count whole milliseconds, and cut: rounded up here, else they fire early and are set twice.
    this.#timer = this.#setTimer(this.#fire, Math.max(1, Math.ceil(delayMs - EARLY_MS)));
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    const now = this.#now();
    const slots = this.#slots.length;
    const first = this.#next;
    const due = Math.floor((now + EARLY_MS - this.#originMs) / this.#slotMs) + 1 - first;
    this.#next = first + Math.max(0, due);
    // Each slot is served once, however many of its points have passed.
    for (let i = 0; i < Math.min(due, slots); i++) {
      const missed = Math.floor((due - 1 - i) / slots);
      this.#serve(
        this.#slots[(first + i) % slots] as Set<Member>,
        missed,
        now - this.#originMs - (first + i) * this.#slotMs,
      );
    }
    // A tick may have removed the last member and added another, which set the timer.
    if (this.#members > 0 && this.#timer === undefined) this.#arm();
  };

  #serve(slot: Set<Member>, missed: number, latenessMs: number): void {
    if (slot.size === 0) return;
    const { stats } = this;
    stats.ticks++;
    if (latenessMs > this.#slotMs) stats.lateTicks++;
    stats.worstLatenessMs = Math.max(stats.worstLatenessMs, latenessMs);
    for (const member of slot) {
      stats.skippedFrames += missed;
      try {
        member.tick(missed);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
