import { setTimeout as delay } from 'node:timers/promises';
import { Replies } from '../async/replies.ts';
import type { Logger } from '../log.ts';
import { type MakeStore, makeStore, type StoreHandle } from './make-store.ts';
import type { CallRecord } from './record.ts';
import type {
  FromStore,
  Question,
  RecordFilter,
  RecordPage,
  StoredCallback,
  StoreLimits,
  StoreSettings,
  ToStore,
  Write,
} from './store-messages.ts';

/** Writes that may wait for the disk. Further ones are dropped and counted. */
const WAITING_MAX = 10_000;
const RESTART_MS = 1_000;
/** One that ran this long and ended is started again at once. */
const RAN_MS = 10_000;
const READY_MS = 2_000;
/** On close: time limit for the queued writes, and again for the thread's end. */
const CLOSE_MS = 2_000;
/** The disk counts as hung if the thread has work and does not answer for this long. */
const ANSWER_MS = 3_000;
const WATCH_MS = 500;
const HANGING = `the disk has not answered for ${ANSWER_MS / 1000} s`;

/** The store could not answer: its database or its thread is not available. */
export class RecordStoreError extends Error {
  override name = 'RecordStoreError';
}

/**
 * Call records and undelivered callbacks on disk (SQLite). Writes return at once and never fail.
 * The database runs in a thread of its own, so that a slow disk does not delay calls. While it
 * cannot be written, writes wait in that thread, up to a limit.
 */
export class RecordStore {
  #settings: Omit<StoreSettings, 'recovers'>;
  readonly #log: Logger;
  readonly #make: MakeStore;
  readonly #heard = Promise.withResolvers<void>();
  readonly #onRecovered: (records: readonly CallRecord[]) => void;
  readonly #questions = new Replies();
  /** Undefined while a dead thread is being replaced, and after the close. */
  #worker: StoreHandle | undefined;
  #waiting = 0;
  /** Since when the thread has had work without an answer, by `performance.now()`. */
  #silentSinceMs: number | undefined;
  #hanging = false;
  readonly #watch: NodeJS.Timeout;
  #problem: string | undefined;
  /**
   * Channels of calls that ended before the previous process's records were read. Undefined
   * afterwards.
   */
  #endedFirst: Set<string> | undefined = new Set();
  #closing = false;
  /** When the thread was last started, monotonic ms. */
  #startedMs = 0;
  #hasLeft = false;
  /** Writes that reached the database, and writes that were dropped. */
  readonly stats = { written: 0, dropped: 0 };

  /**
   * `onRecovered` gets the records of calls that were live when the previous process died. Its
   * receiver saves each of them when it ends the record or adopts the call.
   */
  constructor(
    settings: Omit<StoreSettings, 'recovers'>,
    log: Logger,
    onRecovered: (records: readonly CallRecord[]) => void,
    make: MakeStore = makeStore,
  ) {
    this.#make = make;
    this.#settings = settings;
    this.#log = log;
    this.#onRecovered = onRecovered;
    this.#worker = this.#start(true);
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref();
  }

  /**
   * Resolves when the previous process's records have been read, or could not be. If the disk
   * hangs, it resolves after a time limit.
   */
  async ready(): Promise<void> {
    await Promise.race([this.#heard.promise, delay(READY_MS, undefined, { ref: false })]);
  }

  /**
   * Another process has ended: `onRecovered` gets the records of its live calls, before this
   * resolves. Rejects with a {@link RecordStoreError}.
   */
  async recover(): Promise<void> {
    await this.#ask({ type: 'recover' });
  }

  /** Whether a process that wrote to this folder is dead. False also if it is not known. */
  async isDead(process: string): Promise<boolean> {
    return (await this.#ask({ type: 'is-dead', process }).catch(() => false)) === true;
  }

  /**
   * Leaves what is live to other processes: this one counts as dead. Later writes are ignored, but
   * for {@link endLeft} and its callback. Resolves to false if the disk does not answer: then only
   * the end of this process frees them. Never rejects.
   */
  async leave(): Promise<boolean> {
    this.#hasLeft = true;
    // Its lock has ended with it.
    if (this.#worker === undefined) return true;
    const isFree = this.#ask({ type: 'leave' }).then(() => true);
    return await isFree.catch(() => false);
  }

  /**
   * A call has ended that was left to other processes. Resolves to whether none of them has taken
   * it. Then its end is written, and is ours to report. Never rejects.
   */
  async endLeft(record: CallRecord): Promise<boolean> {
    return (await this.#ask({ type: 'end-left', record }).catch(() => false)) === true;
  }

  /** Why records cannot be written now. Undefined if they can. */
  get problem(): string | undefined {
    return this.#problem ?? (this.#hanging ? HANGING : undefined);
  }

  /** Whether the thread hangs in a disk operation: then only `exitNow` can end the process. */
  get hanging(): boolean {
    return this.#hanging;
  }

  /** Writes that wait for the disk. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Other limits of what is kept, from the next look on. */
  limit(limits: StoreLimits): void {
    this.#settings = { ...this.#settings, ...limits };
    this.#worker?.postMessage({ type: 'limit', limits } satisfies ToStore);
  }

  /** Stores a call's record, or replaces the one that is stored. */
  save(record: CallRecord): void {
    const endedFirst = this.#endedFirst;
    if (record.state === 'closed' && endedFirst !== undefined && endedFirst.size < WAITING_MAX)
      endedFirst.add(record.channelId);
    this.#write({ type: 'call', record });
  }

  /** Stores a callback until {@link forgetCallback}. */
  storeCallback(callback: StoredCallback): void {
    this.#write({ type: 'callback', callback });
  }

  forgetCallback(id: string): void {
    this.#write({ type: 'callback-done', id });
  }

  /**
   * The latest record with this call id, or else with this channel id. Rejects with a {@link
   * RecordStoreError}.
   */
  async get(id: string): Promise<CallRecord | undefined> {
    return (await this.#ask({ type: 'get', id })) as CallRecord | undefined;
  }

  /**
   * Records, newest first. `cursor` is `nextCursor` of the page before. Rejects with a {@link
   * RecordStoreError}.
   */
  async list(filter: RecordFilter, limit: number, cursor?: string): Promise<RecordPage> {
    return (await this.#ask({ type: 'list', filter, limit, cursor })) as RecordPage;
  }

  /** Undelivered callbacks, oldest first. Rejects with a {@link RecordStoreError}. */
  async callbacks(): Promise<StoredCallback[]> {
    return (await this.#ask({ type: 'callbacks' })) as StoredCallback[];
  }

  /**
   * Writes what is queued, if that works at once, and ends the thread. Does not wait for one that
   * hangs.
   */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#watch);
    await this.#ask({ type: 'close' }, CLOSE_MS).catch(() => {});
    const worker = this.#worker;
    if (worker !== undefined) {
      const limit = delay(CLOSE_MS, true, { ref: false });
      this.#hanging = await Promise.race([worker.terminate().then(() => false), limit]);
      if (this.#hanging) this.#log.error('the thread of the records hangs: its disk does not answer');
    }
    if (this.#waiting > 0) this.#log.error({ lost: this.#waiting }, 'records were not written');
  }

  #write(write: Write): void {
    // Retries would write over what another process has done since.
    const isNew = write.type === 'callback' && write.callback.tries === 0;
    if (this.#hasLeft && !isNew && write.type !== 'callback-done') return;
    if (this.#waiting >= WAITING_MAX || this.#worker === undefined) {
      this.stats.dropped += 1;
      return;
    }
    this.#post({ type: 'write', write });
    this.#waiting += 1;
  }

  #ask(question: Question, limitMs = ANSWER_MS): Promise<unknown> {
    if (this.#worker === undefined) return Promise.reject(new RecordStoreError('the store is not running'));
    const late = () => new RecordStoreError(`no answer within ${limitMs} ms`);
    return this.#questions.ask((id) => this.#post({ type: 'ask', id, question }), limitMs, late);
  }

  #post(message: ToStore): void {
    this.#worker?.postMessage(message);
    this.#silentSinceMs ??= performance.now();
  }

  /** Checks whether the thread still answers. */
  #look(): void {
    const isHanging = performance.now() - (this.#silentSinceMs ?? Number.POSITIVE_INFINITY) >= ANSWER_MS;
    // With a known problem the thread retries by itself.
    if (isHanging === this.#hanging || this.#problem !== undefined) return;
    this.#hanging = isHanging;
    if (isHanging) this.#log.error({ problem: HANGING }, 'call records cannot be written, trying again');
    else this.#log.info('call records are written again');
  }

  #start(recovers: boolean): StoreHandle {
    this.#startedMs = performance.now();
    this.#silentSinceMs = this.#startedMs;
    const settings = { ...this.#settings, recovers };
    return this.#make(settings, {
      onMessage: (message) => this.#receive(message),
      onEnd: ({ message }) => this.#died(message),
    });
  }

  #receive(message: FromStore): void {
    this.#silentSinceMs = undefined;
    this.#handle(message);
    if (this.#waiting > 0 || this.#questions.size > 0) this.#silentSinceMs = performance.now();
  }

  #handle(message: FromStore): void {
    switch (message.type) {
      case 'settled':
        this.#waiting -= message.written + message.refused;
        this.stats.written += message.written;
        this.stats.dropped += message.refused;
        return;
      case 'health':
        this.#heard.resolve();
        // `recovered` comes before the first `health` without a problem.
        if (message.problem === undefined) this.#endedFirst = undefined;
        return this.#setProblem(message.problem);
      case 'remark':
        return this.#log.error(message.text);
      case 'recovered':
        return this.#recovered(message.records);
      case 'answer':
        return this.#questions.resolve(message.id, message.value);
      case 'failure':
        return this.#questions.reject(message.id, new RecordStoreError(message.message));
    }
  }

  /**
   * Skips calls that this process adopted before their records were read, and that have ended
   * since.
   */
  #recovered(records: readonly CallRecord[]): void {
    const unheard = records.filter(({ channelId }) => !this.#endedFirst?.has(channelId));
    this.#endedFirst = undefined;
    if (unheard.length === 0) return;
    this.#log.warn({ calls: unheard.length }, 'the previous process left calls');
    this.#onRecovered(unheard);
  }

  #setProblem(problem: string | undefined): void {
    if (problem !== undefined) this.#log.error({ problem }, 'call records cannot be written, trying again');
    else if (this.#problem !== undefined) this.#log.info('call records are written again');
    this.#problem = problem;
  }

  #died(why: string): void {
    this.#worker = undefined;
    this.#endedFirst = undefined;
    this.#heard.resolve();
    this.#silentSinceMs = undefined;
    this.#questions.rejectAll(new RecordStoreError(why));
    if (this.#closing) return;
    this.stats.dropped += this.#waiting;
    this.#waiting = 0;
    this.#setProblem(why);
    this.#restartLater();
  }

  /** Starts another thread after a pause. Tries again if the system has none. */
  #restartLater(): void {
    const restart = () => {
      if (this.#closing) return;
      try {
        this.#worker = this.#start(false);
      } catch (error) {
        this.#setProblem((error as Error).message);
        this.#restartLater();
      }
    };
    // Until it runs, the lock is free, and others take this process for dead.
    const hasRun = performance.now() - this.#startedMs > RAN_MS;
    setTimeout(restart, hasRun ? 0 : RESTART_MS).unref();
  }
}
