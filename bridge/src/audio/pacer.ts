import { FRAME_MS } from './format.ts';

// A timer may fire slightly early. A slot this close is served at once: another timer takes 1 ms at
// least.
const EARLY_MS = 0.5;

/** Settings of a pacer. Clock and timers are Node's unless a test replaces them. */
export interface PacerOptions {
  /** Period of every member, ms. */
  frameMs?: number;
  /**
   * Number of phases within a period. Members are spread over them, to avoid sending in one burst.
   */
  slots?: number;
  /** Monotonic clock, ms. */
  now?: () => number;
  setTimer?: (fire: () => void, delayMs: number) => unknown;
  clearTimer?: (timer: unknown) => void;
  /** Called with an error that a member throws. The other members are still called. */
  onError: (error: unknown) => void;
}

/** Counters of a pacer, since it was made. */
export interface PacerStats {
  /** Slots served while they had members. */
  ticks: number;
  /** Ticks that began more than one slot late. */
  lateTicks: number;
  /** Frames that members could not send because a tick was at least a whole period late. */
  skippedFrames: number;
  worstLatenessMs: number;
}

/** Returned by `add`, to remove the member. */
export interface PacerHandle {
  /** Ends the calls of `tick`. Idempotent. May be called within a tick. */
  remove(): void;
}

interface Member {
  tick: (skippedFrames: number) => void;
}

/**
 * One clock for all calls: calls every member once per frame on an absolute grid, so that lateness
 * does not add up. A tick that is late by whole frames is told how many were missed. Missed ticks
 * are not repeated.
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
  /** Next grid point to serve, in slots since the origin. */
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

  /** Number of members. */
  get members(): number {
    return this.#members;
  }

  /**
   * Calls `tick` once per frame from now on. `skippedFrames`: frames missed because the tick was
   * late.
   */
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

  /**
   * Serves the slots that are due. Call it repeatedly during long work in one turn of the event
   * loop.
   */
  keepTime(): void {
    if (this.#timer === undefined || this.#now() < this.#originMs + this.#next * this.#slotMs) return;
    this.#clearTimer(this.#timer);
    this.#fire();
  }

  #arm(): void {
    const delayMs = this.#originMs + this.#next * this.#slotMs - this.#now();
    // Node timers cut to whole ms. Round up, or the timer fires early and must be set again.
    this.#timer = this.#setTimer(this.#fire, Math.max(1, Math.ceil(delayMs - EARLY_MS)));
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    const now = this.#now();
    const slots = this.#slots.length;
    const first = this.#next;
    const due = Math.floor((now + EARLY_MS - this.#originMs) / this.#slotMs) + 1 - first;
    this.#next = first + Math.max(0, due);
    // Serve each slot once, even if several of its grid points have passed.
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
