import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { RecordDatabase } from '../src/records/database.ts';
import { type CallRecord, callRecordSchema } from '../src/records/record.ts';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import { FakeAri } from './fake-ari.ts';
import { FakeReceiver } from './fake-receiver.ts';
import { Lab, speech, until } from './harness.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'bridge-records-'));
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** What a daemon that has been stopped has left on disk, newest first. */
function stored(directory: string): CallRecord[] {
  const database = new RecordDatabase(join(directory, 'calls.db'), 'reader');
  try {
    const { records } = database.list({}, 100, undefined);
    for (const record of records) callRecordSchema.parse(record);
    return [...records];
  } finally {
    database.close();
  }
}

/** The records of the log. */
const said = (lab: Lab) => lab.logged('call record').map(({ record }) => record as CallRecord);

test('a call leaves one record: on disk with its numbers, in the log without them', async (t) => {
  const directory = folder(t);
  const lab = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  const { channel, session } = await lab.call({ from: '+491701234567', to: '+4930111222' });
  session.speak(speech(5));
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => rtp.speech().length >= 800, 'the bot is heard');
  lab.ari.hangUp(channel.id, 31);
  await lab.ended();
  await lab.stop();
  const [record, ...others] = stored(directory);
  assert.deepEqual(others, []);
  assert.partialDeepStrictEqual(record, {
    channelId: channel.id,
    sipCallId: `sip-${channel.id}`,
    provider: 'pb_fintech',
    direction: 'inbound',
    from: '+491701234567',
    to: '+4930111222',
    dialect: 'native',
    encoding: 'pcmu',
    sampleRateHz: 8_000,
    transport: 'rtp',
    state: 'closed',
    endReason: 'caller-hangup',
    endedBy: 'caller',
    cause: 31,
    causeText: 'Normal, unspecified',
  });
  const { times, setupMs, media } = record as CallRecord;
  const inOrder = [times.offered, times.botReady, times.answered, times.firstBotAudio, times.ended];
  assert.deepEqual(inOrder, [...inOrder].sort());
  assert.ok(inOrder.every((time) => time !== undefined));
  assert.ok((setupMs.joined ?? 0) >= (setupMs.bot ?? 0));
  assert.ok((media?.packetsSent ?? 0) > 0);
  assert.deepEqual(
    [said(lab)[0]?.from, said(lab)[0]?.to, said(lab).length],
    ['***********67', '*********22', 1],
  );
  const lines = lab.logs.filter(({ level }) => level > 20);
  assert.doesNotMatch(JSON.stringify(lines), /1701234567|30111222/);
});

test('the log has records as they are, or not at all, where that is wanted', async (t) => {
  for (const [mode, from] of [
    ['full', '+491701234567'],
    ['off', undefined],
  ] as const) {
    const lab = await Lab.start(t, { config: { RECORDS_STDOUT: mode } });
    const { channel } = await lab.call({ from: '+491701234567' });
    lab.ari.hangUp(channel.id);
    await lab.ended();
    assert.equal(said(lab)[0]?.from, from);
  }
});

test('a dial that fails and one that is answered each leave a record, from the dial on', async (t) => {
  const directory = folder(t);
  const lab = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  const busy = lab.ari.originate({
    to: '+4930777',
    from: '+4930111',
    variables: { X_CALL_ID: 'c-busy', X_TENANT: 'acme' },
  });
  lab.ari.dialFails(busy, 'BUSY', 17, 486);
  const taken = lab.ari.originate({ to: '+4930888', args: ['c-taken'] });
  await new Promise((resolve) => setTimeout(resolve, 30));
  lab.ari.answered(taken);
  const session = await lab.session();
  session.send({ event: 'hangup' });
  await lab.ended();
  await lab.stop();
  const records = new Map(stored(directory).map((record) => [record.callId, record]));
  assert.partialDeepStrictEqual(records.get('c-busy'), {
    direction: 'outbound',
    from: '+4930111',
    to: '+4930777',
    tenant: 'acme',
    state: 'closed',
    outcome: 'busy',
    cause: 17,
    causeText: 'User busy',
    sipStatus: 486,
    endReason: 'not-answered',
  });
  const answered = records.get('c-taken');
  assert.partialDeepStrictEqual(answered, { to: '+4930888', outcome: 'answered', endReason: 'bot-hangup' });
  assert.ok((answered?.times.answered ?? '') > (answered?.times.offered ?? ''));
});

test('a call that was live when the process was killed has its end at the next start', async (t) => {
  const directory = folder(t);
  const lab = await Lab.start(t);
  // The process that dies is another: this one has to live on.
  const { child } = await startProcess(t, lab, { RECORDS_DIR: directory });
  const channel = lab.ari.inbound({ from: '+491701234567' });
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'answered');
  await new Promise((resolve) => setTimeout(resolve, 200));
  child.kill('SIGKILL');
  await until(() => session.closed !== undefined, 'the process is gone');
  lab.ari.hangUp(channel.id);
  lab.ari.bridges.clear();
  lab.ari.hangUp(lab.ari.mediaIdOf(channel.id));
  const next = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  const line = await until(() => next.logged('the previous process left calls')[0], 'it is said');
  assert.equal(line.calls, 1);
  await next.stop();
  const [record, ...others] = stored(directory);
  assert.deepEqual(others, []);
  assert.partialDeepStrictEqual(record, {
    channelId: channel.id,
    from: '+491701234567',
    state: 'closed',
    endReason: 'bridge-died',
    endedBy: 'bridge',
  });
});

/** A call that a process that died has left in its database. */
function leftBehind(directory: string, fields: Partial<CallRecord>): void {
  const database = new RecordDatabase(join(directory, 'calls.db'), 'before');
  const record: CallRecord = {
    callId: 'c-1',
    channelId: '1.1',
    provider: 'pb_fintech',
    direction: 'outbound',
    from: '+4930111',
    to: '+4930777',
    state: 'active',
    setupMs: {},
    times: { offered: '2026-11-22T10:00:00.000Z', answered: '2026-11-22T10:00:04.000Z' },
    ...fields,
  };
  database.write([{ type: 'call', record }]);
  database.close();
}

test('a callee who outlived the process before goes on with the same bot facts, under one record', async (t) => {
  const directory = folder(t);
  leftBehind(directory, {});
  const ari = await FakeAri.start();
  ari.add({ id: '1.1', state: 'Up', inStasis: true, isOriginated: true, args: ['c-1'], from: '', to: 's' });
  const lab = await Lab.start(t, { ari, config: { RECORDS_DIR: directory, API_TOKEN } });
  const session = await lab.session();
  assert.partialDeepStrictEqual(session.events[0], { callId: 'c-1', from: '+4930111', to: '+4930777' });
  const { calls } = (await api(lab, 'GET', '/calls')).body;
  assert.deepEqual([calls.length, calls[0].endReason], [1, undefined]);
  ari.hangUp('1.1');
  await lab.ended();
  await lab.stop();
  const [record, ...others] = stored(directory);
  assert.deepEqual(others, []);
  assert.partialDeepStrictEqual(record, {
    from: '+4930111',
    to: '+4930777',
    endReason: 'caller-hangup',
    outcome: 'answered',
    times: { offered: '2026-11-22T10:00:00.000Z', answered: '2026-11-22T10:00:04.000Z' },
  });
});

test('a phone that rings since before goes on ringing under its record', async (t) => {
  const directory = folder(t);
  leftBehind(directory, { state: 'ringing', times: { offered: '2026-11-22T10:00:00.000Z' } });
  const ari = await FakeAri.start();
  const channel = ari.add({ id: '1.1', state: 'Ringing', isOriginated: true, args: ['c-1'], from: '' });
  channel.subscribed = true;
  const lab = await Lab.start(t, { ari, config: { RECORDS_DIR: directory } });
  ari.dialFails(channel, 'BUSY', 17, 486);
  await until(() => lab.logged('dial failed')[0], 'its end');
  await lab.stop();
  const [record, ...others] = stored(directory);
  assert.deepEqual(others, []);
  assert.partialDeepStrictEqual(record, { from: '+4930111', to: '+4930777', outcome: 'busy' });
});

for (const state of ['Ringing', 'Up'] as const) {
  test(`a forward of a call that rings since before is refused (${state})`, async (t) => {
    const directory = folder(t);
    leftBehind(directory, { state: 'ringing', times: { offered: '2026-11-22T10:00:00.000Z' } });
    const ari = await FakeAri.start();
    const leg = { id: '1.2', state, inStasis: state === 'Up', isOriginated: true, args: ['c-1'], from: '' };
    ari.add({ ...leg, subscribed: true });
    const lab = await Lab.start(t, { ari, config: { RECORDS_DIR: directory } });
    await until(() => ari.channels.size === 0, 'the leg is hung up');
    await lab.stop();
    assert.equal(lab.bot.attempts, 0);
    assert.deepEqual(
      stored(directory).map(({ callId }) => callId),
      ['c-1'],
    );
  });
}

test('who placed a call that died with the process is told of an error', async (t) => {
  const directory = folder(t);
  const receiver = await FakeReceiver.start('callback-secret');
  leftBehind(directory, { callbackUrl: receiver.url });
  const lab = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  t.after(() => receiver.close());
  await until(() => receiver.callbacks.length > 0, 'the callback');
  assert.partialDeepStrictEqual(receiver.callbacks[0]?.fields, {
    call_id: 'c-1',
    call_sid: '1.1',
    status: 'error',
    outcome: 'answered',
    cause: '41',
  });
  await lab.stop();
  const [record] = stored(directory);
  assert.deepEqual([record?.endReason, record?.callbackUrl], ['bridge-died', undefined]);
});

test('a callback that was not delivered is tried again by the next process', async (t) => {
  const directory = folder(t);
  const gone = await FakeReceiver.start('callback-secret');
  const { url } = gone;
  await gone.close();
  const first = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  const channel = first.ari.originate({ variables: { X_CALLBACK_URL: url, X_CALL_ID: 'c-1' } });
  first.ari.dialFails(channel, 'BUSY', 17, 486);
  await until(async () => (await first.metric('callbacks_failed_tries_total')) > 0, 'the first try');
  await first.stop();
  const receiver = await FakeReceiver.start('callback-secret', Number(new URL(url).port));
  t.after(() => receiver.close());
  const second = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  await until(() => receiver.callbacks.length > 0, 'the callback');
  assert.equal(receiver.callbacks[0]?.isSigned, true);
  assert.partialDeepStrictEqual(receiver.callbacks[0]?.fields, { call_id: 'c-1', outcome: 'busy' });
  await until(async () => (await second.metric('callbacks_pending')) === 0, 'delivered');
  await second.stop();
  const third = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  assert.equal(await third.metric('callbacks_pending'), 0);
  assert.equal(receiver.callbacks.length, 1);
});

test('a receiver that does not want a callback is not asked again', async (t) => {
  const lab = await Lab.start(t);
  const receiver = await FakeReceiver.start('callback-secret');
  t.after(() => receiver.close());
  receiver.statuses.push(404);
  const channel = lab.ari.originate({ variables: { X_CALLBACK_URL: receiver.url } });
  lab.ari.dialFails(channel, 'BUSY', 17, 486);
  await until(() => lab.logged('status callback given up')[0], 'given up');
  assert.equal(await lab.metric('callbacks_pending'), 0);
  assert.equal(receiver.callbacks.length, 1);
});

test('a folder that cannot be written costs records, said and counted, but no call', async (t) => {
  const directory = folder(t);
  writeFileSync(join(directory, 'file'), '');
  const lab = await Lab.start(t, { config: { RECORDS_DIR: join(directory, 'file', 'below') } });
  await until(async () => (await lab.metric('records_up')) === 0, 'noticed');
  const { status, body } = await lab.get('/readyz');
  assert.equal(status, 200);
  assert.match(JSON.parse(body).warnings[0], /^call records cannot be written: /);
  const { channel } = await lab.call();
  lab.ari.hangUp(channel.id);
  const { reason } = await lab.ended();
  assert.equal(reason.kind, 'caller-hangup');
  assert.ok((await lab.metric('records_waiting')) > 0);
  assert.equal(said(lab).length, 1);
});

test('records wait while the disk cannot be written, and are written when it can', async (t) => {
  const directory = folder(t);
  const other = new DatabaseSync(join(directory, 'calls.db'));
  other.exec('BEGIN EXCLUSIVE');
  const lab = await Lab.start(t, { config: { RECORDS_DIR: directory } });
  const { channel } = await lab.call();
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.ok((await lab.metric('records_waiting')) > 0);
  other.close();
  await until(async () => (await lab.metric('records_waiting')) === 0, 'written');
  assert.equal(lab.logged('call records are written again').length, 1);
  await lab.stop();
  assert.equal(stored(directory).length, 1);
});
