import { getPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Replies } from '../async/replies.ts';
import type { Logger } from '../log.ts';
import { BotAccess } from './bot-access.ts';
import type { MakeWorker, WorkerHandle } from './make-worker.ts';
import { MediaError } from './media-error.ts';
import { type Place, RemoteMedia, type SessionThread } from './remote-media.ts';
import type { MediaEvent, MediaSession, MediaSettings } from './session.ts';
import type { FromWorker, MediaRequest, WorkerSettings, WorkerStats } from './worker-messages.ts';
import { retired } from './worker-stats.ts';

/** The UDP ports of all workers together, and the number of workers. */
export interface MediaPoolOptions {
  readonly workers: number;
  readonly rtpPortMin: number;
  readonly rtpPortMax: number;
  /** Calls that may connect in a second to a bot that was down and is back. */
  readonly botConnectsPerSecond: number;
}

/**
 * A worker reports every second. One without a report for this many seconds hangs and is ended. The
 * seconds are ticks of a timer in this process, so that a machine that was suspended counts as one
 * tick.
 */
const SILENT_SECONDS_MAX = 5;
/** Workers that may die while one call is opened. */
const OPEN_TRIES = 3;
/**
 * Pause before a worker is replaced that died before its first report: it would die again at once.
 */
const RESTART_MS = 1_000;
/** A worker is not ended before its first report, for at most this time. */
const LOADING_MS = 3_000;
const LOADING_POLL_MS = 10;
/** At the stop, time limit for the end of a worker's thread. */
const END_MS = 1_500;
/** Time limit of a request. A worker that hangs is found earlier. */
const REPLY_LIMIT_MS = 30_000;
/**
 * Time limit of requests that wait for the bot or for playout. These have shorter limits of their
 * own.
 */
const WAIT_LIMIT_MS = 900_000;
const WAITING: ReadonlySet<MediaRequest['method']> = new Set([
  'connectBot',
  'botSettled',
  'drain',
  'playedOut',
]);

/**
 * The media workers. Opens each call's media in the worker with the fewest calls, and replaces
 * workers that die.
 */
export class MediaPool {
  readonly #workers: MediaThread[];
  readonly #log: Logger;
  readonly #make: MakeWorker;
  /** Which calls may try to connect to a bot that is down. */
  readonly botAccess: BotAccess;
  #deaths = 0;
  /** Sums of the counters of all dead workers. */
  #retired: WorkerStats | undefined;
  #closing = false;
  #hanging = false;

  constructor(options: MediaPoolOptions, log: Logger, make: MakeWorker) {
    this.#log = log;
    this.#make = make;
    this.botAccess = new BotAccess(options.botConnectsPerSecond, log);
    this.#workers = shares(options).map((settings, index) => this.#start(index, settings));
  }

  /**
   * Opens a call's media. Tries another worker if one dies meanwhile. `tell` gets its events.
   * Rejects with a {@link MediaError}.
   */
  async open(settings: MediaSettings, tell: (event: MediaEvent) => void): Promise<MediaSession> {
    const session = new RemoteMedia(settings, tell, (remote) => this.#place(remote), this.botAccess);
    for (let attempt = 1; ; attempt++) {
      try {
        await session.open();
        return session;
      } catch (error) {
        const isDeath = (error as MediaError).code === 'worker-died';
        if (!isDeath || this.#closing || attempt >= OPEN_TRIES) throw error;
      }
    }
  }

  /**
   * Finds the worker with the fewest calls. If none is alive, waits for one, up to a limit. Finding
   * and taking the place is one turn of the event loop. So if several workers die at once, each
   * death is reported to the sessions that have a place.
   */
  async #place(session: RemoteMedia): Promise<Place> {
    const leastLoaded = () => this.#workers.reduce((one, other) => (other.load < one.load ? other : one));
    const endMs = performance.now() + LOADING_MS;
    while (!leastLoaded().isAlive && !this.#closing && performance.now() < endMs)
      await delay(LOADING_POLL_MS);
    const thread = leastLoaded();
    return { thread, id: thread.take(session) };
  }

  /** Workers that died and were replaced. */
  get deaths(): number {
    return this.#deaths;
  }

  /** Open media sessions, the UDP ports that they use, and those with a bot. */
  get usage(): { sessions: number; rtpPorts: number; bots: number } {
    const usage = { sessions: 0, rtpPorts: 0, bots: 0 };
    for (const worker of this.#workers) worker.addUsage(usage);
    return usage;
  }

  /** Latest counters of each worker, and one entry for all dead ones: counters must not fall. */
  get stats(): WorkerStats[] {
    return [...this.#workers.map(({ stats }) => stats), this.#retired].filter((stats) => stats !== undefined);
  }

  /** Whether a worker's thread did not end at the close: only `exitNow` then ends the process. */
  get hanging(): boolean {
    return this.#hanging;
  }

  /** Ends all workers. Does not wait for one whose thread hangs. */
  async close(): Promise<void> {
    this.#closing = true;
    this.botAccess.close();
    const ended = await Promise.all(this.#workers.map((worker) => worker.terminate()));
    this.#hanging = ended.includes(false);
    if (this.#hanging) this.#log.error('media workers hang: their threads did not end');
  }

  #start(index: number, settings: WorkerSettings): MediaThread {
    return new MediaThread(this.#make, settings, (error, lastStats) => {
      if (this.#closing) return;
      if (lastStats !== undefined) this.#retired = retired(lastStats, this.#retired);
      this.#deaths += 1;
      this.#log.error(
        { worker: index, error: error.message },
        'media worker died: it is replaced, and its calls are opened anew',
      );
      const replace = () => {
        if (this.#closing) return;
        try {
          this.#workers[index] = this.#start(index, settings);
        } catch (failure) {
          this.#log.error(
            { worker: index, error: (failure as Error).message },
            'media worker not replaced, tried again',
          );
          setTimeout(replace, RESTART_MS).unref();
        }
      };
      if (lastStats !== undefined) replace();
      else setTimeout(replace, RESTART_MS).unref();
    });
  }
}

/** Divides the ports among the workers, so that no worker needs to ask another. */
function shares({ workers, rtpPortMin, rtpPortMax }: MediaPoolOptions): WorkerSettings[] {
  const priority = getPriority(0);
  const each = Math.floor((rtpPortMax + 1 - rtpPortMin) / workers / 2) * 2;
  return Array.from({ length: workers }, (_, index) => ({
    priority,
    rtpPortMin: rtpPortMin + index * each,
    rtpPortMax: index === workers - 1 ? rtpPortMax : rtpPortMin + (index + 1) * each - 1,
  }));
}

/** One worker thread, as the control thread sees it. */
class MediaThread implements SessionThread {
  readonly #worker: WorkerHandle;
  readonly #sessions = new Map<number, RemoteMedia>();
  readonly #replies = new Replies();
  #lastSession = 0;
  #death: Error | undefined;
  #silentSeconds = 0;
  /** The latest report. */
  stats: WorkerStats | undefined;

  constructor(
    make: MakeWorker,
    settings: WorkerSettings,
    onDeath: (error: Error, lastStats: WorkerStats | undefined) => void,
  ) {
    this.#worker = make(settings, {
      onMessage: (message) => this.#receive(message),
      onEnd: (end) => {
        clearInterval(watch);
        const error = this.#death ?? end;
        this.#died(error);
        const lastStats = this.stats;
        this.stats = undefined;
        onDeath(error, lastStats);
      },
    });
    const watch = setInterval(() => this.#watch(), 1_000).unref();
  }

  /** Number of calls; infinite for a worker that is dead or late with its report. */
  get load(): number {
    return this.#death === undefined && this.#silentSeconds < 3
      ? this.#sessions.size
      : Number.POSITIVE_INFINITY;
  }

  /** Whether it accepts requests. */
  get isAlive(): boolean {
    return this.#death === undefined;
  }

  addUsage(usage: { sessions: number; rtpPorts: number; bots: number }): void {
    usage.sessions += this.#sessions.size;
    const ports = new Set<number>();
    for (const session of this.#sessions.values()) {
      if (session.rtpPort !== 0) ports.add(session.rtpPort);
      if (session.hasBot) usage.bots += 1;
    }
    usage.rtpPorts += ports.size;
  }

  /** Adds a call's media. Returns the id for requests to it. */
  take(session: RemoteMedia): number {
    this.#lastSession += 1;
    this.#sessions.set(this.#lastSession, session);
    return this.#lastSession;
  }

  /**
   * Sends a request and waits for its reply. Rejects with a {@link MediaError}, also if the worker
   * dies.
   */
  ask(session: number, request: MediaRequest): Promise<unknown> {
    if (this.#death !== undefined) return Promise.reject(new MediaError('worker-died', this.#death.message));
    const limitMs = WAITING.has(request.method) ? WAIT_LIMIT_MS : REPLY_LIMIT_MS;
    const late = () => new MediaError('late', `the media worker did not answer ${request.method}`);
    return this.#replies.ask((id) => this.#worker.postMessage({ id, session, request }), limitMs, late);
  }

  /** Sends a request without a reply. */
  tell(session: number, request: MediaRequest): void {
    if (this.#death === undefined) this.#worker.postMessage({ id: 0, session, request });
  }

  forget(session: number): void {
    this.#sessions.delete(session);
  }

  /**
   * Ends the worker, but not while it loads: a library that is being loaded would end the process.
   * Returns whether its thread ended within a time limit.
   */
  async terminate(): Promise<boolean> {
    const endMs = performance.now() + LOADING_MS;
    while (this.stats === undefined && this.#death === undefined && performance.now() < endMs)
      await delay(LOADING_POLL_MS);
    const limit = delay(END_MS, false, { ref: false });
    return await Promise.race([this.#worker.terminate().then(() => true), limit]);
  }

  /** Ends a worker whose reports have stopped. Before its first report it is starting. */
  #watch(): void {
    if (this.stats === undefined || this.#death !== undefined) return;
    this.#silentSeconds += 1;
    if (this.#silentSeconds <= SILENT_SECONDS_MAX) return;
    this.#died(new Error(`the thread did not react for ${SILENT_SECONDS_MAX} s`));
    void this.#worker.terminate();
  }

  #receive(message: FromWorker): void {
    this.#silentSeconds = 0;
    if (message.type === 'stats') {
      this.stats = message.stats;
    } else if (message.type === 'event') {
      this.#sessions.get(message.session)?.happened(message.event, message.hasBot);
    } else if (message.type === 'reply') {
      this.#replies.resolve(message.id, message.value);
    } else {
      this.#replies.reject(message.id, new MediaError(message.code, message.message));
    }
  }

  #died(error: Error): void {
    this.#death = error;
    this.#replies.rejectAll(new MediaError('worker-died', error.message));
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) session.workerDied(`the media worker died: ${error.message}`);
  }
}
