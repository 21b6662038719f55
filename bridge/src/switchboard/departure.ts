import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../log.ts';

/** The process, as far as its end goes. */
export interface Departing {
  /** No call is left, and none is being placed. */
  readonly isIdle: boolean;
  /** A successor has asked for the app, or has it. */
  readonly isHandingOver: boolean;
  /** Since when a successor has the app, monotonic ms. Undefined: none has. */
  readonly handedOverMs: number | undefined;
  /** Takes no new calls from now on. */
  drain(): void;
  /** Ends the last words of all calls. */
  hurry(): void;
  /** The process will end: it takes no calls of others that stop. */
  toldToStop(): void;
  /** Asks another process to take the calls. Resolves to whether one does. */
  offer(): Promise<boolean>;
}

/** When a process ends. */
export interface DepartureSettings {
  /** How long calls go on after a handover, s. */
  readonly DRAIN_S: number;
  /** How long calls go on after a stop without a successor, s. */
  readonly STOP_DRAIN_S: number;
  /** What a stop without a successor does. */
  readonly STOP_MODE: 'drain' | 'handover';
}

/**
 * How a process ends. `stop`: the calls that are left end, with last words. `leave`: nothing is
 * hung up, another process takes the calls.
 */
export type DepartureWay = 'stop' | 'leave';

const LOOK_MS = 50;

/**
 * When this process ends, and how. After a handover it keeps its calls for `DRAIN_S`. Told to stop,
 * it waits until they have ended; without a successor for `STOP_DRAIN_S` only.
 */
export class Departure {
  readonly #process: Departing;
  readonly #settings: DepartureSettings;
  readonly #log: Logger;
  #stops = 0;
  /** Ends once a successor has the app and our calls have ended. */
  #retires = false;
  /** When the calls are not waited for any more, monotonic ms. Undefined: no drain is under way. */
  #drainEndMs: number | undefined;
  #hasOffered = false;

  constructor(process: Departing, settings: DepartureSettings, log: Logger) {
    this.#process = process;
    this.#settings = settings;
    this.#log = log;
  }

  /** Told to stop. A second time: at once. */
  stop(): void {
    this.#stops += 1;
    this.#process.toldToStop();
    if (this.#stops > 1 && !this.#process.isHandingOver) this.#process.hurry();
  }

  /** Told to end once a successor has the app. Until one has it, nothing changes. */
  retire(): void {
    this.#retires = true;
  }

  /** Resolves when the process is to end. */
  async way(): Promise<DepartureWay> {
    for (;;) {
      const way = this.#process.isHandingOver ? this.#succeeded() : await this.#alone();
      if (way !== undefined) return way;
      await delay(LOOK_MS, undefined, { ref: false });
    }
  }

  /** A successor has the app. */
  #succeeded(): DepartureWay | undefined {
    const { handedOverMs } = this.#process;
    if (handedOverMs === undefined) return undefined;
    this.#drainEndMs = undefined;
    if ((this.#stops > 0 || this.#retires) && this.#process.isIdle) return 'stop';
    const isDrained = performance.now() - handedOverMs >= this.#settings.DRAIN_S * 1_000;
    // An end would leave nothing to anybody: a restart by Docker would only take the app back.
    const isOver = isDrained && !this.#process.isIdle;
    return isOver || this.#stops > 1 ? 'leave' : undefined;
  }

  async #alone(): Promise<DepartureWay | undefined> {
    const { STOP_MODE, STOP_DRAIN_S } = this.#settings;
    if (this.#stops === 0) return undefined;
    if (!this.#hasOffered && this.#stops === 1) {
      this.#hasOffered = true;
      if (await this.#process.offer()) return undefined;
    }
    if (STOP_MODE === 'handover') return 'leave';
    if (this.#drainEndMs === undefined) {
      this.#drainEndMs = performance.now() + STOP_DRAIN_S * 1_000;
      this.#log.info({ limitS: STOP_DRAIN_S }, 'bridge draining');
      this.#process.drain();
    }
    const isOver = performance.now() >= this.#drainEndMs;
    return this.#process.isIdle || isOver || this.#stops > 1 ? 'stop' : undefined;
  }
}
