import { AriError } from './client.ts';

/** What a heartbeat needs. */
export interface HeartbeatOptions {
  /** The process; the name of each beat begins with it. */
  readonly instance: string;
  readonly everyMs: number;
  /** Asks Asterisk to send a user event of this name to the app. */
  readonly send: (name: string) => Promise<void>;
  /** A beat has come back through the app; it was the nth. */
  readonly onBeat: (count: number) => void;
  /** A beat did not come back in time, or the app is not there. Once, and nothing after it. */
  readonly onLost: (why: string) => void;
}

/** A beat must come back within so many intervals. */
const LIMIT_INTERVALS = 3;
const TICKS_PER_INTERVAL = 4;

/**
 * Proves that the events of our Stasis app reach us: a user event is sent through the app again and again, and must come back over
 * the events socket. An open socket proves nothing, since Asterisk may have given the app to another one.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #first = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isProved = false;
  #count = 0;
  /** Name of the beat that is under way. */
  #awaited: string | undefined;
  /** Since the beat under way was sent, or the last one came back. Counted, so that a standstill of our own process is one. */
  #ticks = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /**
   * Sends the first beat, and others until {@link stop}; none where that was called before. Resolves when the first one has come back;
   * never where none does. Asterisk opens an events socket before it makes the app active (longer before, the more it has to do), and
   * what is sent to an inactive app is lost: the first beat is sent again and again.
   */
  start(): Promise<void> {
    if (this.#isStopped) return this.#first.promise;
    this.#timer = setInterval(() => this.#tick(), this.#options.everyMs / TICKS_PER_INTERVAL);
    this.#beat();
    return this.#first.promise;
  }

  /** A user event came over the events socket. */
  heard(name: string): void {
    if (name !== this.#awaited) return;
    this.#awaited = undefined;
    this.#ticks = 0;
    this.#isProved = true;
    this.#first.resolve();
    this.#options.onBeat(this.#count);
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
  }

  #beat(): void {
    this.#count += 1;
    this.#ticks = 0;
    const name = `${this.#options.instance}-${this.#count}`;
    this.#awaited = name;
    this.#send(name);
  }

  #send(name: string): void {
    this.#options.send(name).catch((error: Error) => {
      // Any other failure is one of the request, or the app is not there yet: if it lasts, the limit says so.
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
