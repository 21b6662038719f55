import { BackOff } from './back-off.ts';

/** How calls share a bot that may be down. */
export interface BreakerLimits {
  /** Failed tries in a row, of all calls, after which the bot counts as down. */
  readonly failuresMax: number;
  /** Pauses between the tries while the bot is down, ms. */
  readonly firstPauseMs: number;
  readonly mostPauseMs: number;
  /** A try without a result for this time counts as failed, ms. */
  readonly tryMs: number;
  /** How many waiting calls may try in a second once the bot is back. */
  readonly perSecond: number;
}

/** Part of a second whose tries may come at once. */
const BURST_S = 0.2;

/**
 * Decides which calls may try to connect to one bot, and when. While the bot is down one call at a
 * time tries, at growing intervals, and the others wait for its result. When the bot is back they
 * are let in at a limited rate. `Call` identifies a call. The clock is an argument, ms.
 */
export class Breaker<Call> {
  readonly #limits: BreakerLimits;
  readonly #pauses: BackOff;
  /** In the order in which they asked. */
  readonly #waiting = new Set<Call>();
  /** The call that tries while the bot is down. */
  #probe: Call | undefined;
  #failures = 0;
  #isDown = false;
  /** When the next call may try; while there is a probe, when it counts as failed. */
  #nextMs = Number.NEGATIVE_INFINITY;
  #downSinceMs = 0;
  #problem = '';
  #lastFailureMs = Number.NEGATIVE_INFINITY;

  /** `random`: number from 0 to 1, exclusive. */
  constructor(limits: BreakerLimits, random: () => number) {
    this.#limits = limits;
    this.#pauses = new BackOff({ firstMs: limits.firstPauseMs, mostMs: limits.mostPauseMs }, random);
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  /** Number of calls that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether it holds nothing that must be kept. */
  isIdle(nowMs: number, forgetMs: number): boolean {
    if (this.#waiting.size > 0 || this.#probe !== undefined) return false;
    if (this.#failures > 0) return nowMs - this.#lastFailureMs > forgetMs;
    // Tries of the last moment count for the rate.
    return nowMs - this.#nextMs >= BURST_S * 1000;
  }

  /** The last failure and how long the bot has been down. Undefined: it is not down. */
  problem(nowMs: number): { readonly detail: string; readonly seconds: number } | undefined {
    if (!this.#isDown) return undefined;
    return { detail: this.#problem, seconds: Math.round((nowMs - this.#downSinceMs) / 1000) };
  }

  /** When `due` has something to do, on the clock. Infinite: not before another call asks. */
  get dueMs(): number {
    return this.#waiting.size === 0 ? Number.POSITIVE_INFINITY : this.#nextMs;
  }

  /**
   * A call wants to try. True: it may. False: it waits until `due` names it, which may be at once.
   * `isFirst`: the first try of a new call, which waits only if others do.
   */
  ask(call: Call, isFirst: boolean): boolean {
    if (isFirst && !this.#isDown && this.#waiting.size === 0) return true;
    this.#waiting.add(call);
    return false;
  }

  /** The calls that may try now. They wait no longer. */
  due(nowMs: number): Call[] {
    if (this.#isDown) return this.#nextProbe(nowMs);
    const intervalMs = 1000 / this.#limits.perSecond;
    const admitted: Call[] = [];
    this.#nextMs = Math.max(this.#nextMs, nowMs - BURST_S * 1000);
    for (const call of this.#waiting) {
      if (this.#nextMs > nowMs) break;
      this.#nextMs += intervalMs;
      this.#waiting.delete(call);
      admitted.push(call);
    }
    return admitted;
  }

  /** A call connected. True: the bot was down, and is back. */
  succeeded(nowMs: number): boolean {
    const wasDown = this.#isDown;
    this.#failures = 0;
    this.#isDown = false;
    this.#probe = undefined;
    if (wasDown) this.#nextMs = nowMs;
    return wasDown;
  }

  /** The call's try failed. True: the bot counts as down from now on. */
  failed(call: Call, detail: string, nowMs: number): boolean {
    this.#failures += 1;
    this.#problem = detail;
    this.#lastFailureMs = nowMs;
    if (this.#isDown) {
      if (call === this.#probe) this.#pause(nowMs);
      return false;
    }
    if (this.#failures < this.#limits.failuresMax) return false;
    this.#isDown = true;
    this.#downSinceMs = nowMs;
    this.#pauses.restart();
    this.#pause(nowMs);
    return true;
  }

  /** The call ended, or waits no longer. */
  left(call: Call, nowMs: number): void {
    this.#waiting.delete(call);
    if (call !== this.#probe) return;
    this.#probe = undefined;
    this.#nextMs = nowMs;
  }

  #nextProbe(nowMs: number): Call[] {
    if (nowMs < this.#nextMs) return [];
    if (this.#probe !== undefined) {
      this.#pause(nowMs);
      return [];
    }
    const [call] = this.#waiting;
    if (call === undefined) return [];
    this.#waiting.delete(call);
    this.#probe = call;
    this.#nextMs = nowMs + this.#limits.tryMs;
    return [call];
  }

  #pause(nowMs: number): void {
    this.#probe = undefined;
    this.#nextMs = nowMs + this.#pauses.next();
  }
}
