import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Replies } from '../async/replies.ts';
import type { Logger } from '../log.ts';
import type { CallRecord } from './record.ts';
import type {
  FromStore,
  Question,
  RecordFilter,
  RecordPage,
  StoredCallback,
  StoreSettings,
  ToStore,
  Write,
} from './store-messages.ts';

/** Writes that may wait for the disk; beyond it new ones are given up and counted. */
const WAITING_MAX = 10_000;
const RESTART_MS = 1_000;
const READY_MS = 2_000;
/** On a stop, what waits may still be written within this time, and then the thread may end within as much. */
const CLOSE_MS = 2_000;
/** The disk hangs where the thread has not said a word for so long though it has work. */
const ANSWER_MS = 3_000;
const WATCH_MS = 500;
const HANGING = `the disk has not answered for ${ANSWER_MS / 1000} s`;

/** The store could not answer: its database, or its thread, is not there now. */
export class RecordStoreError extends Error {
  override name = 'RecordStoreError';
}

/**
 * Call records and undelivered callbacks on disk (SQLite). Writes return at once and never fail: the database lives in a thread
 * of its own, so that a slow disk holds up no call. While it cannot be written, writes wait there, up to a limit.
 */
export class RecordStore {
  readonly #settings: Omit<StoreSettings, 'recovers'>;
  readonly #log: Logger;
  readonly #heard = Promise.withResolvers<void>();
  readonly #onRecovered: (records: readonly CallRecord[]) => void;
  readonly #questions = new Replies();
  /** Absent while a thread that died is being replaced, and at the end. */
  #worker: Worker | undefined;
  #waiting = 0;
  /** Since when the thread has work and has not said a word; by `performance.now()`. */
  #silentSinceMs: number | undefined;
  #hanging = false;
  readonly #watch: NodeJS.Timeout;
  #problem: string | undefined;
  /** Channels whose calls have ended here before those of the process before were read, while that may be. */
  #endedFirst: Set<string> | undefined = new Set();
  #closing = false;
  /** Writes that reached the database, and those given up. */
  readonly stats = { written: 0, dropped: 0 };

  /** `onRecovered` gets the records of calls that were live when the process before died: who ends them, or goes on with them, saves them. */
  constructor(
    settings: Omit<StoreSettings, 'recovers'>,
    log: Logger,
    onRecovered: (records: readonly CallRecord[]) => void,
  ) {
    this.#settings = settings;
    this.#log = log;
    this.#onRecovered = onRecovered;
    this.#worker = this.#start(true);
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref();
  }

  /** Resolves when what the process before has left is told, or cannot be; a disk that hangs is waited for only so long. */
  async ready(): Promise<void> {
    await Promise.race([this.#heard.promise, delay(READY_MS, undefined, { ref: false })]);
  }

  /** What keeps records from being written now. */
  get problem(): string | undefined {
    return this.#problem ?? (this.#hanging ? HANGING : undefined);
  }

  /** Whether the thread is still held by its disk: then only `exitNow` ends the process. */
  get hanging(): boolean {
    return this.#hanging;
  }

  /** Writes that wait for the disk. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Keeps a call's record: its first one, or what has become of it. */
  save(record: CallRecord): void {
    const endedFirst = this.#endedFirst;
    if (record.state === 'closed' && endedFirst !== undefined && endedFirst.size < WAITING_MAX)
      endedFirst.add(record.channelId);
    this.#write({ type: 'call', record });
  }

  /** Keeps a callback until {@link forgetCallback}. */
  keepCallback(callback: StoredCallback): void {
    this.#write({ type: 'callback', callback });
  }

  forgetCallback(id: string): void {
    this.#write({ type: 'callback-done', id });
  }

  /** The latest record of a call, by its call id or its channel's. Rejects with a {@link RecordStoreError}. */
  async get(id: string): Promise<CallRecord | undefined> {
    return (await this.#ask({ type: 'get', id })) as CallRecord | undefined;
  }

  /** Records, newest first; `cursor` is that of the page before. Rejects with a {@link RecordStoreError}. */
  async list(filter: RecordFilter, limit: number, cursor?: string): Promise<RecordPage> {
    return (await this.#ask({ type: 'list', filter, limit, cursor })) as RecordPage;
  }

  /** Callbacks that were kept and not forgotten, oldest first. Rejects with a {@link RecordStoreError}. */
  async callbacks(): Promise<StoredCallback[]> {
    return (await this.#ask({ type: 'callbacks' })) as StoredCallback[];
  }

  /** Writes what still waits, as far as that works at once, and ends the thread; one that hangs is not waited for. */
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
    if (this.#waiting >= WAITING_MAX || this.#worker === undefined) {
      this.stats.dropped += 1;
      return;
    }
    this.#waiting += 1;
    this.#post({ type: 'write', write });
  }

  #ask(question: Question, limitMs = ANSWER_MS): Promise<unknown> {
    if (this.#worker === undefined) return Promise.reject(new RecordStoreError('the store is not running'));
    const late = () => new RecordStoreError(`no answer within ${limitMs} ms`);
    return this.#questions.ask((id) => this.#post({ type: 'ask', id, question }), limitMs, late);
  }

  #post(message: ToStore): void {
    this.#silentSinceMs ??= performance.now();
    this.#worker?.postMessage(message);
  }

  /** Sees whether the thread still reacts. */
  #look(): void {
    const isHanging = performance.now() - (this.#silentSinceMs ?? Number.POSITIVE_INFINITY) >= ANSWER_MS;
    // It has said what is wrong, and tries again.
    if (isHanging === this.#hanging || this.#problem !== undefined) return;
    this.#hanging = isHanging;
    if (isHanging) this.#log.error({ problem: HANGING }, 'call records cannot be written, trying again');
    else this.#log.info('call records are written again');
  }

  #start(recovers: boolean): Worker {
    this.#silentSinceMs = performance.now();
    const worker = new Worker(new URL('./store-worker.ts', import.meta.url), {
      workerData: { ...this.#settings, recovers } satisfies StoreSettings,
    });
    worker.on('message', (message: FromStore) => this.#receive(message));
    let death = 'the thread ended';
    worker.on('error', (error: Error) => {
      death = error.message;
    });
    worker.on('exit', () => this.#died(death));
    return worker;
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
        // What there was to recover has been told before.
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

  /** A call that was taken up before its record could be read, and has ended since, is not told of again. */
  #recovered(records: readonly CallRecord[]): void {
    const unheard = records.filter(({ channelId }) => !this.#endedFirst?.has(channelId));
    this.#endedFirst = undefined;
    if (unheard.length > 0) this.#onRecovered(unheard);
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
    setTimeout(() => {
      if (!this.#closing) this.#worker = this.#start(false);
    }, RESTART_MS).unref();
  }
}
