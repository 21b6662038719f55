/** The store's thread: it alone waits for the disk. Groups what has come meanwhile into one transaction. */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { DAY_MS, MEBIBYTE } from '../units/units.ts';
import { isCorrupt, isEnvironmental, RecordDatabase } from './database.ts';
import type { CallRecord } from './record.ts';
import type { FromStore, Question, StoreSettings, ToStore, Write } from './store-messages.ts';

const FILE = 'calls.db';
/** A broken database is kept under this name, in place of an older one. */
const BROKEN_FILE = 'calls.broken.db';
const RETRY_MS = 5_000;
const PRUNE_EVERY_MS = 600_000;
const PRUNE_STEP_MS = 50;

const settings = workerData as StoreSettings;
const port = parentPort;
if (port === null) throw new Error('this file is a worker of store.ts');
const path = settings.directory === undefined ? ':memory:' : join(settings.directory, FILE);

let database: RecordDatabase | undefined;
let queue: Write[] = [];
let willFlush = false;
let retry: NodeJS.Timeout | undefined;
let recovers = settings.recovers;
/** Not told yet. */
let problem: string | undefined = 'starting';

const tell = (message: FromStore) => port.postMessage(message);

function setProblem(found: string | undefined): void {
  if (found === problem) return;
  problem = found;
  tell({ type: 'health', problem });
}

/** The open database. Throws where there is none to be had now. */
function opened(): RecordDatabase {
  if (database !== undefined) return database;
  if (settings.directory !== undefined) {
    mkdirSync(settings.directory, { recursive: true, mode: 0o700 });
    // SQLite gives its other files the mode of this one.
    closeSync(openSync(path, 'a', 0o600));
  }
  try {
    database = new RecordDatabase(path);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    setAside(error as Error);
    database = new RecordDatabase(path);
  }
  if (recovers) {
    recovers = false;
    const records = database.liveCalls();
    if (records.length > 0) tell({ type: 'recovered', records });
  }
  return database;
}

/** A broken database makes way for a new one; it stays beside it for whoever can read it. */
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

/** Writes what waits. What the machine refuses now is tried again; what cannot be written at all is given up. */
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
  // One of them is at fault: alone it harms no other.
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

function prune(): void {
  let isMore = false;
  try {
    const oldest = new Date(Date.now() - settings.days * DAY_MS).toISOString();
    isMore = database?.prune(oldest, settings.maxMegabytes * MEBIBYTE) ?? false;
  } catch (error) {
    setProblem((error as Error).message);
  }
  setTimeout(prune, isMore ? PRUNE_STEP_MS : PRUNE_EVERY_MS).unref();
}

/** The latest record of a call that the disk has not taken. */
function waitingRecord(id: string): CallRecord | undefined {
  const records = queue.flatMap((write) => (write.type === 'call' ? [write.record] : []));
  return (
    records.findLast(({ callId }) => callId === id) ?? records.findLast(({ channelId }) => channelId === id)
  );
}

function answer(question: Question): unknown {
  // Who asks sees what was written before.
  if (retry === undefined) flush();
  switch (question.type) {
    case 'get':
      return waitingRecord(question.id) ?? opened().get(question.id);
    case 'list':
      // A page without them would look as if there had been no calls.
      if (queue.some(({ type }) => type === 'call'))
        throw new Error(
          `${problem ?? 'records wait for the disk'}; calls that wait to be written would be missing`,
        );
      return opened().list(question.filter, question.limit, question.cursor);
    case 'callbacks':
      return opened().callbacks();
    case 'close':
      database?.close();
      return undefined;
  }
}

port.on('message', (message: ToStore) => {
  if (message.type === 'write') {
    queue.push(message.write);
    // While the database does not take anything the retry brings this along.
    if (retry !== undefined || willFlush) return;
    willFlush = true;
    setImmediate(flush);
    return;
  }
  try {
    tell({ type: 'answer', id: message.id, value: answer(message.question) });
  } catch (error) {
    tell({ type: 'failure', id: message.id, message: (error as Error).message });
  }
});

flush();
setTimeout(prune, PRUNE_STEP_MS).unref();
