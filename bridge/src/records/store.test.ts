import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { diedRecord } from './build.ts';
import type { CallRecord } from './record.ts';
import { RecordStore } from './store.ts';

const DAY_MS = 86_400_000;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'records-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

interface Opened {
  readonly store: RecordStore;
  readonly logs: { msg: string; level: number }[];
  readonly recovered: CallRecord[];
}

let processes = 0;

/** A store of a process of its own. */
function open(t: TestContext, directory: string | undefined, limits = {}): Opened {
  const logs: Opened['logs'] = [];
  const log = pino({ base: null }, { write: (line: string) => logs.push(JSON.parse(line)) });
  const recovered: CallRecord[] = [];
  const store = new RecordStore(
    { directory, process: `p${++processes}`, days: 90, maxMegabytes: 100, ...limits },
    log,
    (records) => recovered.push(...records),
  );
  t.after(() => store.close());
  return { store, logs, recovered };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, 'did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The nth call of the test; later ones are later. */
function call(n: number, fields: Partial<CallRecord> = {}, startMs = Date.now()): CallRecord {
  return {
    callId: `c-${n}`,
    channelId: `1.${n}`,
    provider: 'acme',
    direction: 'inbound',
    from: `+4917012345${n}`,
    to: '100',
    state: 'closed',
    times: { offered: new Date(startMs + n).toISOString() },
    setupMs: {},
    ...fields,
  };
}

const ids = (records: readonly CallRecord[]) => records.map(({ callId }) => callId);

test('a record is found by its call id and its channel, as it was saved last', async (t) => {
  const { store } = open(t, undefined);
  const live = call(1, { state: 'setup' });
  store.save(live);
  assert.deepEqual(await store.get('c-1'), live);
  const ended = { ...live, state: 'closed' as const, endReason: 'caller-hangup' as const };
  store.save(ended);
  assert.deepEqual(await store.get('1.1'), ended);
  assert.equal(await store.get('c-2'), undefined);
  assert.equal((await store.list({}, 10)).records.length, 1);
});

test('of two calls with one id the later is found', async (t) => {
  const { store } = open(t, undefined);
  store.save(call(1, { callId: 'same', to: 'first' }));
  store.save(call(2, { callId: 'same', to: 'second' }));
  assert.equal((await store.get('same'))?.to, 'second');
});

test('the list is newest first, and its pages join without a gap', async (t) => {
  // Its calls are old: none may go for that meanwhile.
  const { store } = open(t, undefined, { days: 36_500 });
  for (let n = 0; n < 7; n++) store.save(call(n));
  // Of the same millisecond.
  store.save(call(9, { times: call(3, {}, 0).times }));
  const all = await store.list({}, 100);
  assert.equal(all.nextCursor, undefined);
  const paged: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({}, 3, cursor);
    paged.push(...ids(page.records));
    cursor = page.nextCursor;
    store.save(call(100 + paged.length));
  } while (cursor !== undefined);
  assert.deepEqual(paged, ids(all.records));
  await assert.rejects(store.list({}, 3, 'no cursor'), /no such cursor/);
});

test('the list is filtered by each field and by all together', async (t) => {
  // Its calls are old: none may go for that meanwhile.
  const { store } = open(t, undefined, { days: 36_500 });
  const startMs = Date.UTC(2026, 0, 1);
  store.save(call(1, { provider: 'other' }, startMs));
  store.save(call(2, { direction: 'outbound', outcome: 'busy', endReason: 'not-answered' }, startMs));
  store.save(call(3, { direction: 'outbound', outcome: 'answered', endReason: 'bot-hangup' }, startMs));
  store.save(call(4, { state: 'active', from: '0170 555-1', to: 'alice' }, startMs));
  const found = async (filter: Parameters<RecordStore['list']>[0]) =>
    ids((await store.list(filter, 10)).records);
  assert.deepEqual(await found({ provider: 'other' }), ['c-1']);
  assert.deepEqual(await found({ direction: 'outbound' }), ['c-3', 'c-2']);
  assert.deepEqual(await found({ outcome: 'busy' }), ['c-2']);
  assert.deepEqual(await found({ endReason: 'bot-hangup' }), ['c-3']);
  assert.deepEqual(await found({ state: 'active' }), ['c-4']);
  assert.deepEqual(await found({ direction: 'outbound', outcome: 'answered', provider: 'acme' }), ['c-3']);
  const second = new Date(startMs + 2).toISOString();
  assert.deepEqual(await found({ offeredFrom: second }), ['c-4', 'c-3', 'c-2']);
  assert.deepEqual(await found({ offeredBefore: second }), ['c-1']);
  // However the number was written.
  assert.deepEqual(await found({ number: '+49 170 123453' }), ['c-3']);
  assert.deepEqual(await found({ number: '170123453' }), ['c-3']);
  assert.deepEqual(await found({ number: '1705551' }), ['c-4']);
  assert.deepEqual(await found({ number: 'Alice' }), ['c-4']);
  assert.deepEqual(await found({ number: '17012345' }), []);
});

test('records survive a restart; calls that were live then are told, until they are ended', async (t) => {
  const directory = folder(t);
  const first = open(t, directory);
  first.store.save(call(1));
  first.store.save(call(2, { state: 'active' }));
  await first.store.close();
  const second = open(t, directory);
  assert.deepEqual((await second.store.get('c-1'))?.state, 'closed');
  await second.store.ready();
  assert.deepEqual(ids(second.recovered), ['c-2']);
  second.store.save(diedRecord(second.recovered[0] as CallRecord, Date.now()));
  await second.store.close();
  const third = open(t, directory);
  assert.equal((await third.store.get('c-2'))?.endReason, 'bridge-died');
  assert.deepEqual(third.recovered, []);
});

test('callbacks are kept until they are done, over a restart', async (t) => {
  const directory = folder(t);
  const callback = { id: 'k-1', callId: 'c-1', url: 'http://x/', body: 'a=1', createdMs: 5, tries: 0 };
  const first = open(t, directory);
  first.store.storeCallback(callback);
  first.store.storeCallback({ ...callback, id: 'k-2', createdMs: 4 });
  first.store.storeCallback({ ...callback, tries: 3 });
  await first.store.close();
  const second = open(t, directory);
  assert.deepEqual(
    (await second.store.callbacks()).map(({ id, tries }) => [id, tries]),
    [
      ['k-2', 0],
      ['k-1', 3],
    ],
  );
  second.store.forgetCallback('k-1');
  assert.equal((await second.store.callbacks()).length, 1);
});

test('records go when they are old', async (t) => {
  const directory = folder(t);
  const first = open(t, directory, { days: 365 });
  for (let n = 0; n < 2_500; n++) first.store.save(call(n, {}, Date.now() - 20 * DAY_MS));
  first.store.save(call(9_999));
  await first.store.close();
  const second = open(t, directory, { days: 10 });
  await until(async () => (await second.store.list({}, 10)).records.length === 1);
  assert.equal((await second.store.list({}, 10)).records[0]?.callId, 'c-9999');
});

test('the oldest records go when the database is over its size', async (t) => {
  const directory = folder(t);
  const first = open(t, directory);
  const long = { endDetail: 'x'.repeat(1_000) };
  for (let n = 0; n < 3_000; n++) first.store.save(call(n, long));
  await first.store.close();
  const second = open(t, directory, { maxMegabytes: 3 });
  await until(async () => (await second.store.get('c-0')) === undefined);
  assert.ok((await second.store.get('c-2999')) !== undefined);
});

test('a broken database is set aside, said, and a new one begun', async (t) => {
  const directory = folder(t);
  writeFileSync(join(directory, 'calls.db'), 'this is no database, however long it may be'.repeat(100));
  const { store, logs } = open(t, directory);
  store.save(call(1));
  assert.equal((await store.get('c-1'))?.callId, 'c-1');
  assert.match(readFileSync(join(directory, 'calls.broken.db'), 'utf8'), /this is no database/);
  assert.match(logs[0]?.msg ?? '', /is broken/);
  assert.equal(store.problem, undefined);
});

test('while the database is locked, records wait and are said not to be written', async (t) => {
  const directory = folder(t);
  const { store, logs } = open(t, directory);
  await store.get('');
  const locker = new DatabaseSync(join(directory, 'calls.db'));
  locker.exec('BEGIN IMMEDIATE');
  store.save(call(1));
  await until(() => store.problem !== undefined);
  assert.match(store.problem ?? '', /locked/);
  assert.equal(store.waiting, 1);
  await assert.rejects(store.list({}, 1), /locked/);
  assert.equal(logs.length, 1);
  locker.exec('ROLLBACK');
  locker.close();
  await until(() => store.waiting === 0);
  assert.equal(store.problem, undefined);
  assert.equal((await store.get('c-1'))?.callId, 'c-1');
});

test('two processes share a folder: each reads all records, live calls belong to who wrote them', async (t) => {
  const directory = folder(t);
  const first = open(t, directory);
  first.store.save(call(1, { state: 'active' }));
  first.store.save(call(2));
  await first.store.get('c-2');
  const second = open(t, directory);
  assert.equal((await second.store.get('c-1'))?.state, 'active');
  second.store.save(call(3, { state: 'active' }));
  assert.equal((await second.store.list({}, 10)).records.length, 3);
  assert.deepEqual(second.recovered, [], 'the first process lives');
  await second.store.recover();
  assert.deepEqual(second.recovered, []);
  await first.store.close();
  await second.store.recover();
  assert.deepEqual(
    second.recovered.map(({ callId }) => callId),
    ['c-1'],
  );
  second.store.save(call(1, { state: 'active' }));
  await second.store.recover();
  assert.equal(second.recovered.length, 1, 'it is its own now');
});

test('a call that ends after its process has left is ended by one process', async (t) => {
  const directory = folder(t);
  const first = open(t, directory);
  const nowMs = Date.now();
  for (const n of [1, 2]) first.store.save(call(n, { state: 'active' }, nowMs));
  const second = open(t, directory);
  await second.store.ready();
  await first.store.leave();
  assert.equal(await first.store.endLeft(call(1, {}, nowMs)), true);
  await second.store.recover();
  assert.deepEqual(
    second.recovered.map(({ callId }) => callId),
    ['c-2'],
  );
  assert.equal(await first.store.endLeft(call(2, {}, nowMs)), false);
  assert.equal((await second.store.get('c-1'))?.state, 'closed');
  assert.equal((await second.store.get('c-2'))?.state, 'active');
});

test('what was taken over is not ended by the process that had it, whoever writes first', async (t) => {
  const directory = folder(t);
  const first = open(t, directory);
  const startMs = Date.now();
  first.store.save(call(1, { state: 'ringing' }, startMs));
  await first.store.get('c-1');
  const second = open(t, directory);
  second.store.save(call(1, { state: 'ringing' }, startMs));
  await second.store.get('c-1');
  first.store.save(call(1, { state: 'closed', endReason: 'taken-over' }, startMs));
  assert.equal((await first.store.get('c-1'))?.state, 'ringing');
  first.store.save(call(2, { state: 'ringing' }, startMs));
  first.store.save(call(2, { state: 'closed', endReason: 'taken-over' }, startMs));
  assert.equal((await first.store.get('c-2'))?.endReason, 'taken-over');
  second.store.save(call(2, { state: 'ringing' }, startMs));
  assert.equal((await second.store.get('c-2'))?.state, 'ringing');
});

test('callbacks of a process that lives are its own', async (t) => {
  const directory = folder(t);
  const first = open(t, directory);
  const callback = { id: 'k', callId: 'c', url: 'http://x/', body: 'a=1', createdMs: 1, tries: 0 };
  first.store.storeCallback(callback);
  assert.equal((await first.store.callbacks()).length, 1);
  const second = open(t, directory);
  assert.equal((await second.store.callbacks()).length, 0);
  await first.store.close();
  assert.equal((await second.store.callbacks()).length, 1);
});

test('writes beyond the limit are dropped and counted, not heaped up', async (t) => {
  const directory = folder(t);
  writeFileSync(join(directory, 'file'), '');
  const { store } = open(t, join(directory, 'file', 'below-a-file'));
  for (let n = 0; n < 10_050; n++) store.save(call(n));
  assert.equal(store.stats.dropped, 50);
  await until(() => store.problem !== undefined);
  assert.equal(store.waiting, 10_000);
});

test('where the system has no thread for the records, another one is tried', async (t) => {
  const threads: Worker[] = [];
  const onWorker = (worker: Worker) => threads.push(worker);
  process.on('worker', onWorker);
  t.after(() => process.off('worker', onWorker));
  const settings: Record<string, unknown> = { directory: folder(t), days: 90, maxMegabytes: 100 };
  const store = new RecordStore(settings as never, pino({ level: 'silent' }), () => {});
  t.after(() => store.close());
  await store.ready();
  // No thread takes a function: its constructor throws, as it does without memory or threads.
  settings.hook = () => {};
  await threads[0]?.terminate();
  await until(() => /could not be cloned/.test(store.problem ?? ''));
  delete settings.hook;
  await until(() => store.problem === undefined);
});

test('the files are for nobody else to read', async (t) => {
  const directory = folder(t);
  chmodSync(directory, 0o755);
  const { store } = open(t, directory);
  store.save(call(1));
  await store.get('c-1');
  const modes = readdirSync(directory).map((name) => statSync(join(directory, name)).mode & 0o077);
  assert.ok(modes.length > 0);
  assert.deepEqual(new Set(modes), new Set([0]));
});
