import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DAY_MS, MEBIBYTE } from '../units/units.ts';
import { isCorrupt, isEnvironmental, RecordDatabase } from './database.ts';
import { ProcessLock } from './process-lock.ts';
import type { CallRecord } from './record.ts';
import type { FromStore, Question, StoreLimits, StoreSettings, ToStore, Write } from './store-messages.ts';

const FILE = 'calls.db';
/** A corrupt database is renamed to this. An older one of that name is deleted. */
const BROKEN_FILE = 'calls.broken.db';
const RETRY_MS = 5_000;
const PRUNE_EVERY_MS = 600_000;
const PRUNE_STEP_MS = 50;

/**
 * Call records on disk, in a thread of its own (`store-thread.ts`): only this thread waits for the
 * disk. It writes all queued records in one transaction.
 */
export class StoreWorker {
  readonly #settings: StoreSettings;
  readonly #tell: (message: FromStore) => void;
  readonly #path: string;
  #database: RecordDatabase | undefined;
  #lock: ProcessLock | undefined;
  #queue: Write[] = [];
  #willFlush = false;
  #retry: NodeJS.Timeout | undefined;
  #recovers: boolean;
  /** The last problem that was sent. */
  #problem: string | undefined = 'starting';
  #limits: StoreLimits;
  #pruning: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Opens the database at once. `tell` gets what the thread has to say. */
  constructor(settings: StoreSettings, tell: (message: FromStore) => void) {
    this.#settings = settings;
    this.#tell = tell;
    this.#path = settings.directory === undefined ? ':memory:' : join(settings.directory, FILE);
    this.#recovers = settings.recovers;
    this.#limits = settings;
    this.#flush();
    this.#pruneIn(PRUNE_STEP_MS);
  }

  handle(message: ToStore): void {
    if (message.type === 'write') {
      this.#queue.push(message.write);
      // If a retry is scheduled, it will write this too.
      if (this.#retry !== undefined || this.#willFlush) return;
      this.#willFlush = true;
      setImmediate(() => this.#flush());
      return;
    }
    if (message.type === 'limit') {
      this.#limits = message.limits;
      return this.#pruneIn(PRUNE_STEP_MS);
    }
    try {
      this.#tell({ type: 'answer', id: message.id, value: this.#answer(message.question) });
    } catch (error) {
      this.#tell({ type: 'failure', id: message.id, message: (error as Error).message });
    }
  }

  /** Closes the database. What waits is not written. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#pruning);
    this.#database?.close();
    this.#lock?.close();
  }

  #setProblem(found: string | undefined): void {
    if (found === this.#problem) return;
    this.#problem = found;
    this.#tell({ type: 'health', problem: found });
  }

  /** The open database. Opens it if needed, and throws if that fails. */
  #opened(): RecordDatabase {
    if (this.#database !== undefined) return this.#database;
    if (this.#settings.directory !== undefined) {
      mkdirSync(this.#settings.directory, { recursive: true, mode: 0o700 });
      // SQLite creates its other files with this file's mode.
      closeSync(openSync(this.#path, 'a', 0o600));
      this.#lock ??= new ProcessLock(this.#settings.directory, this.#settings.process);
    }
    try {
      this.#database = new RecordDatabase(this.#path, this.#settings.process);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.#setAside(error as Error);
      this.#database = new RecordDatabase(this.#path, this.#settings.process);
    }
    if (this.#recovers) {
      this.#recovers = false;
      this.#recover(this.#database);
    }
    return this.#database;
  }

  /** Whether a process has ended, and left what is live to us. */
  #isDead(process: string): boolean {
    return process !== this.#settings.process && this.#lock?.isAlive(process) !== true;
  }

  /** Tells of calls that were live when their process ended. */
  #recover(from: RecordDatabase): void {
    const records = from.takeLiveCalls((process) => this.#isDead(process));
    if (records.length > 0) this.#tell({ type: 'recovered', records });
  }

  /**
   * Renames a corrupt database, so that a new one can be created. The old file stays for repair.
   */
  #setAside(error: Error): void {
    this.#database?.close();
    this.#database = undefined;
    for (const suffix of this.#settings.directory === undefined ? [] : ['', '-wal']) {
      const target = join(this.#settings.directory ?? '', `${BROKEN_FILE}${suffix}`);
      rmSync(target, { force: true });
      if (existsSync(`${this.#path}${suffix}`)) renameSync(`${this.#path}${suffix}`, target);
    }
    this.#tell({
      type: 'remark',
      text: `the database of records is broken (${error.message}): a new one is begun, it is kept as ${BROKEN_FILE}`,
    });
  }

  /**
   * Writes the queue. If the machine is at fault, the writes are retried. A write that can never
   * succeed is dropped.
   */
  #flush(): void {
    this.#willFlush = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const writes = this.#queue;
    this.#queue = [];
    try {
      this.#opened().write(writes);
      this.#setProblem(undefined);
      if (writes.length > 0) this.#tell({ type: 'settled', written: writes.length, refused: 0 });
    } catch (error) {
      this.#failed(writes, error as Error);
    }
  }

  #failed(writes: Write[], error: Error): void {
    if (this.#database !== undefined && isCorrupt(error)) {
      try {
        this.#setAside(error);
        return this.#later(writes, error, 0);
      } catch (asideError) {
        return this.#later(writes, asideError as Error);
      }
    }
    if (this.#database === undefined || isEnvironmental(error)) return this.#later(writes, error);
    if (writes.length === 1) {
      this.#tell({ type: 'remark', text: `a record cannot be written: ${error.message}` });
      return this.#tell({ type: 'settled', written: 0, refused: 1 });
    }
    // One write is invalid: each is written alone, so that the others succeed.
    for (const write of writes) {
      try {
        this.#database.write([write]);
        this.#tell({ type: 'settled', written: 1, refused: 0 });
      } catch (error) {
        this.#failed([write], error as Error);
      }
    }
  }

  #later(writes: Write[], error: Error, afterMs = RETRY_MS): void {
    this.#queue = [...writes, ...this.#queue];
    this.#setProblem(error.message);
    this.#retry ??= setTimeout(() => this.#flush(), afterMs);
  }

  #prune(): void {
    let isMore = false;
    try {
      const oldest = new Date(Date.now() - this.#limits.days * DAY_MS).toISOString();
      isMore = this.#database?.prune(oldest, this.#limits.maxMegabytes * MEBIBYTE) ?? false;
    } catch (error) {
      this.#setProblem((error as Error).message);
    }
    this.#pruneIn(isMore ? PRUNE_STEP_MS : PRUNE_EVERY_MS);
  }

  #pruneIn(afterMs: number): void {
    clearTimeout(this.#pruning);
    this.#pruning = setTimeout(() => this.#prune(), afterMs).unref();
  }

  /** The latest record of a call in the queue. */
  #waitingRecord(id: string): CallRecord | undefined {
    const records = this.#queue.flatMap((write) => (write.type === 'call' ? [write.record] : []));
    return (
      records.findLast(({ callId }) => callId === id) ?? records.findLast(({ channelId }) => channelId === id)
    );
  }

  #answer(question: Question): unknown {
    // A reply must include everything that was written before the request.
    if (this.#retry === undefined) this.#flush();
    switch (question.type) {
      case 'get':
        return this.#waitingRecord(question.id) ?? this.#opened().get(question.id);
      case 'list':
        // A page without queued records would be incomplete, and nobody could see that.
        if (this.#queue.some(({ type }) => type === 'call'))
          throw new Error(
            `${this.#problem ?? 'records wait for the disk'}; calls that wait to be written would be missing`,
          );
        return this.#opened().list(question.filter, question.limit, question.cursor);
      case 'callbacks':
        return this.#opened().callbacks(
          (process) => process === this.#settings.process || this.#isDead(process),
        );
      case 'is-dead':
        return this.#lock?.isDead(question.process) ?? false;
      case 'recover':
        return this.#recover(this.#opened());
      case 'leave':
        return this.#lock?.close();
      case 'end-left':
        return this.#opened().endLeft(question.record);
      case 'close':
        return this.close();
    }
  }
}
