/**
 * The store's thread: only this thread waits for the disk. It writes all queued records in one
 * transaction.
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
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

const settings = workerData as StoreSettings;
const port = parentPort;
if (port === null) throw new Error('this file is a worker of store.ts');
const path = settings.directory === undefined ? ':memory:' : join(settings.directory, FILE);

let database: RecordDatabase | undefined;
let lock: ProcessLock | undefined;
let queue: Write[] = [];
let willFlush = false;
let retry: NodeJS.Timeout | undefined;
let recovers = settings.recovers;
/** The last problem that was sent. */
let problem: string | undefined = 'starting';

const tell = (message: FromStore) => port.postMessage(message);

function setProblem(found: string | undefined): void {
  if (found === problem) return;
  problem = found;
  tell({ type: 'health', problem });
}

/** The open database. Opens it if needed, and throws if that fails. */
function opened(): RecordDatabase {
  if (database !== undefined) return database;
  if (settings.directory !== undefined) {
    mkdirSync(settings.directory, { recursive: true, mode: 0o700 });
    // SQLite creates its other files with this file's mode.
    closeSync(openSync(path, 'a', 0o600));
    lock ??= new ProcessLock(settings.directory, settings.process);
  }
  try {
    database = new RecordDatabase(path, settings.process);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    setAside(error as Error);
    database = new RecordDatabase(path, settings.process);
  }
  if (recovers) {
    recovers = false;
    recover(database);
  }
  return database;
}

/** Whether a process has ended, and left what is live to us. */
function isDead(process: string): boolean {
  return process !== settings.process && lock?.isAlive(process) !== true;
}

/** Tells of calls that were live when their process ended. */
function recover(from: RecordDatabase): void {
  const records = from.takeLiveCalls(isDead);
  if (records.length > 0) tell({ type: 'recovered', records });
}

/** Renames a corrupt database, so that a new one can be created. The old file stays for repair. */
function setAside(error: Error): void {
  database?.close();
  database = undefined;
  for (const suffix of settings.directory === undefined ? [] : ['', '-wal']) {
    const target = join(settings.directory ?? '', `${BROKEN_FILE}${suffix}`);
    rmSync(target, { force: true });
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, target);
  }
  tell({
    type: 'remark',
    text: `the database of records is broken (${error.message}): a new one is begun, it is kept as ${BROKEN_FILE}`,
  });
}

/**
 * Writes the queue. If the machine is at fault, the writes are retried. A write that can never
 * succeed is dropped.
 */
function flush(): void {
  willFlush = false;
  clearTimeout(retry);
  retry = undefined;
  const writes = queue;
  queue = [];
  try {
    opened().write(writes);
    setProblem(undefined);
    if (writes.length > 0) tell({ type: 'settled', written: writes.length, refused: 0 });
  } catch (error) {
    failed(writes, error as Error);
  }
}

function failed(writes: Write[], error: Error): void {
  if (database !== undefined && isCorrupt(error)) {
    try {
      setAside(error);
      return later(writes, error, 0);
    } catch (asideError) {
      return later(writes, asideError as Error);
    }
  }
  if (database === undefined || isEnvironmental(error)) return later(writes, error);
  if (writes.length === 1) {
    tell({ type: 'remark', text: `a record cannot be written: ${error.message}` });
    return tell({ type: 'settled', written: 0, refused: 1 });
  }
  // One write is invalid: each is written alone, so that the others succeed.
  for (const write of writes) {
    try {
      database.write([write]);
      tell({ type: 'settled', written: 1, refused: 0 });
    } catch (error) {
      failed([write], error as Error);
    }
  }
}

function later(writes: Write[], error: Error, afterMs = RETRY_MS): void {
  queue = [...writes, ...queue];
  setProblem(error.message);
  retry ??= setTimeout(flush, afterMs);
}

let limits: StoreLimits = settings;
let pruning: NodeJS.Timeout;

function prune(): void {
  let isMore = false;
  try {
    const oldest = new Date(Date.now() - limits.days * DAY_MS).toISOString();
    isMore = database?.prune(oldest, limits.maxMegabytes * MEBIBYTE) ?? false;
  } catch (error) {
    setProblem((error as Error).message);
  }
  pruneIn(isMore ? PRUNE_STEP_MS : PRUNE_EVERY_MS);
}

function pruneIn(afterMs: number): void {
  clearTimeout(pruning);
  pruning = setTimeout(prune, afterMs).unref();
}

/** The latest record of a call in the queue. */
function waitingRecord(id: string): CallRecord | undefined {
  const records = queue.flatMap((write) => (write.type === 'call' ? [write.record] : []));
  return (
    records.findLast(({ callId }) => callId === id) ?? records.findLast(({ channelId }) => channelId === id)
  );
}

function answer(question: Question): unknown {
  // A reply must include everything that was written before the request.
  if (retry === undefined) flush();
  switch (question.type) {
    case 'get':
      return waitingRecord(question.id) ?? opened().get(question.id);
    case 'list':
      // A page without queued records would be incomplete, and nobody could see that.
      if (queue.some(({ type }) => type === 'call'))
        throw new Error(
          `${problem ?? 'records wait for the disk'}; calls that wait to be written would be missing`,
        );
      return opened().list(question.filter, question.limit, question.cursor);
    case 'callbacks':
      return opened().callbacks((process) => process === settings.process || isDead(process));
    case 'is-dead':
      return lock?.isDead(question.process) ?? false;
    case 'recover':
      return recover(opened());
    case 'leave':
      return lock?.close();
    case 'end-left':
      return opened().endLeft(question.record);
    case 'close':
      database?.close();
      lock?.close();
      return undefined;
  }
}

port.on('message', (message: ToStore) => {
  if (message.type === 'write') {
    queue.push(message.write);
    // If a retry is scheduled, it will write this too.
    if (retry !== undefined || willFlush) return;
    willFlush = true;
    setImmediate(flush);
    return;
  }
  if (message.type === 'limit') {
    limits = message.limits;
    return pruneIn(PRUNE_STEP_MS);
  }
  try {
    tell({ type: 'answer', id: message.id, value: answer(message.question) });
  } catch (error) {
    tell({ type: 'failure', id: message.id, message: (error as Error).message });
  }
});

flush();
pruneIn(PRUNE_STEP_MS);
