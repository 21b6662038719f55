import { AriError } from './requests.ts';

/** Settings of a heartbeat. */
export interface HeartbeatOptions {
  /** Name of the process. The name of each heartbeat begins with it. */
  readonly instance: string;
  readonly everyMs: number;
  /** Asks Asterisk to send a user event with this name to the app. */
  readonly send: (name: string) => Promise<void>;
  /** A heartbeat came back through the app, so much later. */
  readonly onBeat: (tookMs: number) => void;
  /** The pending heartbeat has not come back for another interval. */
  readonly onLate: () => void;
  /** A heartbeat did not come back in time, or the app does not exist. Called once, and last. */
  readonly onLost: (why: string) => void;
}

/** A heartbeat must come back within this number of intervals. */
const LIMIT_INTERVALS = 3;
const TICKS_PER_INTERVAL = 4;

/**
 * Verifies that the events of our Stasis app arrive. A user event is sent through the app
 * periodically, and must come back on the events socket. An open socket does not prove this,
 * because Asterisk may have given the app to another client.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #first = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isProved = false;
  #count = 0;
  /** Name of the pending heartbeat. */
  #awaited: string | undefined;
  /** When it was sent first, monotonic ms. */
  #sentMs = 0;
  /**
   * Timer ticks since the pending heartbeat was sent, or since the last one came back. A suspended
   * process counts as one tick.
   */
  #ticks = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /**
   * Sends the first heartbeat, and further ones until {@link stop}. Sends none after `stop`.
   * Resolves when the first one has come back; never if none does. Asterisk opens an events socket
   * before it activates the app, and loses what is sent to an inactive app. So the first heartbeat
   * is sent repeatedly.
   */
  start(): Promise<void> {
    if (this.#isStopped) return this.#first.promise;
    this.#timer = setInterval(() => this.#tick(), this.#options.everyMs / TICKS_PER_INTERVAL);
    this.#beat();
    return this.#first.promise;
  }

  /** A user event arrived on the events socket. */
  heard(name: string): void {
    if (name !== this.#awaited) return;
    this.#awaited = undefined;
    this.#ticks = 0;
    this.#isProved = true;
    this.#first.resolve();
    this.#options.onBeat(performance.now() - this.#sentMs);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#ticks += 1;
    if (this.#awaited === undefined) {
      if (this.#ticks >= TICKS_PER_INTERVAL) this.#beat();
    } else if (this.#ticks > LIMIT_INTERVALS * TICKS_PER_INTERVAL) {
      this.#lost('the heartbeat through the Stasis app does not come back');
    } else if (!this.#isProved) this.#send(this.#awaited);
    else if (this.#ticks % TICKS_PER_INTERVAL === 0) this.#options.onLate();
  }

  #beat(): void {
    this.#count += 1;
    this.#ticks = 0;
    const name = `${this.#options.instance}-${this.#count}`;
    this.#awaited = name;
    this.#sentMs = performance.now();
    this.#send(name);
  }

  #send(name: string): void {
    this.#options.send(name).catch((error: Error) => {
      // Ignore other errors, and 404 before the first heartbeat: the app is not active yet. If they
      // last, the time limit reports it.
      const isGone = error instanceof AriError && error.status === 404 && this.#isProved;
      if (isGone && this.#awaited === name) this.#lost('Asterisk does not have the Stasis app any more');
    });
  }

  #lost(why: string): void {
    if (this.#timer === undefined) return;
    this.stop();
    this.#options.onLost(why);
  }
}
