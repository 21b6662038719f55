/** What this machine gives to any process that wants to act every 20 ms, as the bridge does. */
import type { Stall } from '../sipp/stream.ts';

const TICK_MS = 20;
/** Later than this is a stall, in ms. */
const LATE_MS = 10;

/** Ticks on an absolute grid and notes when it was late; dispose of it to end it. */
export class Metronome implements Disposable {
  /** Its own stalls so far. */
  readonly stalls: Stall[] = [];
  #dueMs = performance.now() + TICK_MS;
  #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = this.#arm();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(this.#tick, Math.max(1, this.#dueMs - performance.now()));
  }

  #tick = (): void => {
    const now = performance.now();
    const lateMs = now - this.#dueMs;
    if (lateMs > LATE_MS) this.stalls.push({ endAtMs: performance.timeOrigin + now, ms: TICK_MS + lateMs });
    while (this.#dueMs <= now) this.#dueMs += TICK_MS;
    this.#timer = this.#arm();
  };
}
