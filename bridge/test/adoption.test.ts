/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import type { CallRecord } from '../src/records/record.ts';
import { RecordStore } from '../src/records/store.ts';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import { FakeAri } from './fake-ari.ts';
import type { BotSession } from './fake-bot.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, speech, until } from './harness.ts';

/** A call of a process that is killed, in a way that Asterisk and its caller outlive. */
interface Orphan {
  readonly lab: Lab;
  readonly channel: FakeChannel;
  readonly config: Record<string, string>;
}

/** Starts a bridge as a process of its own, has `during` happen in a call of it, and kills it. */
async function orphan(
  t: TestContext,
  variables: Record<string, string>,
  during: (session: BotSession, channel: FakeChannel, lab: Lab) => Promise<void>,
  environment: Record<string, string> = {},
): Promise<Orphan> {
  const directory = mkdtempSync(join(tmpdir(), 'adoption-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const config = { RECORDS_DIR: directory, RECORDINGS_DIR: join(directory, 'audio'), ...environment };
  const lab = await Lab.start(t);
  const { child } = await startProcess(t, lab, config);
  const channel = lab.ari.inbound({ variables });
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'answered');
  await during(session, channel, lab);
  // Its record is on disk by then.
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill('SIGKILL');
  await until(() => session.closed !== undefined, 'the process is gone');
  return { lab, channel, config };
}

test('an adopted call tells its bot that it comes back', async (t) => {
  const { lab, channel, config } = await orphan(t, { X_CALL_ID: 'again' }, async () => {});
  const startMs = performance.now();
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config });
  const session = await next.session(1);
  assert.equal(session.events[0]?.event, 'start');
  assert.equal(session.events[0]?.reconnected, true);
  await until(() => session.of('answered').length > 0, 'adopted');
  t.diagnostic(
    `with a bot ${Math.round(performance.now() - startMs)} ms after the start of the next process`,
  );
  next.ari.hangUp(channel.id);
  await next.ended();
});

test('a caller who took the place of another is found again by the next process', async (t) => {
  let newcomer: FakeChannel | undefined;
  const { lab, channel, config } = await orphan(t, { X_CALL_ID: 'replaced' }, async (_, first, { ari }) => {
    const second = ari.add({ state: 'Up', inStasis: true });
    const replaced = ari.show(first);
    ari.emit('StasisStart', { channel: ari.show(second), args: [], replace_channel: replaced });
    await until(() => !ari.channels.has(first.id), 'the old leg is hung up');
    await until(() => ari.membersOf(first.id)?.has(second.id), 'the newcomer talks to the bot');
    newcomer = second;
  });
  assert.ok(newcomer);
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config: { ...config, API_TOKEN } });
  const session = await next.session(1);
  assert.partialDeepStrictEqual(session.events[0], { callId: 'replaced', reconnected: true });
  await until(() => lab.ari.membersOf(channel.id)?.has(newcomer?.id ?? ''), 'they talk');
  // Who was in the call already joins before the set-up is done.
  const { calls } = await until(async () => {
    const { body } = await api(next, 'GET', '/calls?limit=10');
    return body.calls[0]?.state === 'active' && body;
  }, 'active');
  assert.equal(calls.length, 1);
  assert.partialDeepStrictEqual(calls[0], { callId: 'replaced', channelId: channel.id });
  next.ari.hangUp(newcomer.id);
  await next.ended();
  const record = (await api(next, 'GET', '/calls/replaced')).body;
  assert.partialDeepStrictEqual(record, { state: 'closed', endReason: 'caller-hangup' });
});

test('a caller who took the place of another and leaves while the next process looks for them has one record, and it ends', async (t) => {
  let newcomer: FakeChannel | undefined;
  const { lab, config } = await orphan(t, { X_CALL_ID: 'replaced' }, async (_, first, { ari }) => {
    const second = ari.add({ state: 'Up', inStasis: true });
    const replaced = ari.show(first);
    ari.emit('StasisStart', { channel: ari.show(second), args: [], replace_channel: replaced });
    await until(() => ari.membersOf(first.id)?.has(second.id), 'the newcomer talks to the bot');
    newcomer = second;
  });
  // Asterisk has said what it holds by then.
  lab.ari.before(/^POST \/events\/user\/.*mark/, () => {
    lab.ari.hangUp(newcomer?.id ?? '');
    return undefined;
  });
  const more = { API_TOKEN, RECONCILE_MS: '250' };
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config: { ...config, ...more } });
  const state = async () => (await api(next, 'GET', '/calls/replaced')).body.state;
  await until(async () => (await state()) === 'closed', 'the end of its record');
  const { calls } = (await api(next, 'GET', '/calls?limit=10')).body;
  assert.equal(calls.length, 1);
});

test('a new call that waited in an outage is none that comes back', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.dropEvents();
  const channel = lab.ari.inbound();
  const session = await lab.session();
  assert.equal(session.events[0]?.reconnected, undefined);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a recording that was paused stays so in the call that is adopted, and both files are in its record', async (t) => {
  const { lab, channel, config } = await orphan(t, { X_RECORD: 'on' }, async (session) => {
    await until(() => session.of('recording').some(({ state }) => state === 'on'), 'it records');
    session.send({ event: 'recording', state: 'pause' });
    await until(() => session.of('recording').some(({ state }) => state === 'paused'), 'paused');
  });
  assert.equal(channel.variables.X_RECORD, 'paused', 'Asterisk keeps it too, for whoever has no record');
  // The record alone has to do as well.
  channel.variables.X_RECORD = 'on';
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config: { ...config, API_TOKEN } });
  const session = await next.session(1);
  await until(() => session.of('recording').length > 0, 'the bot hears of the recording');
  assert.deepEqual(
    session.of('recording').map(({ state }) => state),
    ['paused'],
  );
  const { body } = await api(next, 'GET', `/calls/${channel.id}`);
  const record = body as unknown as CallRecord;
  assert.equal(record.isRecordingPaused, true);
  assert.equal(record.recordingFiles?.length, 2);
  assert.equal(record.recordingFile, record.recordingFiles?.[1]);
  session.send({ event: 'recording', state: 'resume' });
  await until(() => channel.variables.X_RECORD === 'on', 'resumed');
  next.ari.hangUp(channel.id);
  await next.ended();
});

test('a pause is kept without any record, by the channel alone', async (t) => {
  const { lab, channel, config } = await orphan(t, { X_RECORD: 'on' }, async (session, { variables }) => {
    session.send({ event: 'recording', state: 'pause' });
    await until(() => variables.X_RECORD === 'paused', 'kept');
  });
  const other = mkdtempSync(join(tmpdir(), 'adoption-'));
  t.after(() => rmSync(other, { recursive: true, force: true, maxRetries: 5 }));
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config: { ...config, RECORDS_DIR: other } });
  const session = await next.session(1);
  await until(() => session.of('recording').length > 0, 'the bot hears of the recording');
  assert.equal(session.of('recording')[0]?.state, 'paused');
  next.ari.hangUp(channel.id);
  await next.ended();
});

test('the longest duration of an adopted call counts from its answer', async (t) => {
  const { lab, channel, config } = await orphan(t, {}, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  });
  const next = await Lab.start(t, {
    ari: lab.ari,
    bot: lab.bot,
    config: { ...config, MAX_CALL_DURATION_S: '3', MAX_DURATION_WARNING_S: '1' },
  });
  const session = await next.session(1);
  const startMs = performance.now();
  assert.equal((await next.ended()).reason.kind, 'max-duration');
  assert.ok(performance.now() - startMs < 2_000, 'the time before counts');
  const [limit] = session.of('limit');
  assert.ok(Number(limit?.remainingMs) <= 1_000);
  assert.equal(next.ari.channels.has(channel.id), false);
});

test('the longest duration that its order gave an adopted call is kept', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'adoption-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const ari = await FakeAri.start();
  const channel = ari.add({ state: 'Up', inStasis: true, isOriginated: true });
  const agoMs = (ms: number) => new Date(Date.now() - ms).toISOString();
  const store = new RecordStore(
    { directory, process: 'before', days: 1, maxMegabytes: 100 },
    pino({ level: 'silent' }),
    () => {},
  );
  await store.ready();
  store.save({
    callId: 'ordered',
    channelId: channel.id,
    provider: 'pb_fintech',
    direction: 'outbound',
    from: '+4930111',
    to: '+4930222',
    state: 'active',
    setupMs: {},
    maxDurationSeconds: 2,
    times: { offered: agoMs(2_000), botReady: agoMs(1_900), answered: agoMs(1_000) },
  });
  await store.close();
  const lab = await Lab.start(t, { ari, config: { RECORDS_DIR: directory, API_TOKEN } });
  const session = await lab.session();
  assert.equal(session.events[0]?.reconnected, true);
  const { body } = await api(lab, 'GET', '/calls/ordered');
  assert.equal((body as unknown as CallRecord).maxDurationSeconds, 2);
  assert.equal((await lab.ended()).reason.kind, 'max-duration');
  assert.equal(ari.channels.has(channel.id), false);
});

test('a call that its caller holds is still held when it is adopted: no audio is no fault then', async (t) => {
  const { lab, channel, config } = await orphan(t, {}, async (session, held, { ari }) => {
    ari.emit('ChannelHold', { channel: ari.show(held) });
    await until(() => session.of('hold').length > 0, 'held');
  });
  const next = await Lab.start(t, {
    ari: lab.ari,
    bot: lab.bot,
    config: { ...config, MEDIA_TIMEOUT_MS: '300' },
  });
  const session = await next.session(1);
  await until(() => session.of('hold').length > 0, 'the bot is told');
  await new Promise((resolve) => setTimeout(resolve, 900));
  assert.equal(next.logged('call ended').length, 0);
  next.ari.hangUp(channel.id);
  await next.ended();
});

test('who is adopted hears that the call goes on while its bot is not there yet', async (t) => {
  const { lab, channel, config } = await orphan(t, {}, async () => {});
  const former = new Set(lab.ari.channels.keys());
  lab.bot.decide = () => 'never';
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config });
  await until(() => next.logged('ARI connected').length > 0, 'ARI');
  const rtp = await until(() => {
    const id = [...lab.ari.channels.keys()].find(
      (own) => own.startsWith('pcm-') && !former.has(own) && lab.ari.channels.get(own)?.inStasis,
    );
    return id !== undefined && lab.ari.channels.get(id)?.rtp;
  }, 'its media');
  await until(() => rtp.speech().length > 160, 'comfort');
  assert.equal(
    [...lab.ari.bridges.values()].some((members) => members.has(channel.id)),
    true,
  );
  lab.ari.hangUp(channel.id);
  await next.ended();
});

test('the bot of an adopted call is sought as long as a lost one, whatever the set-up of a new call may take', async (t) => {
  const { lab, channel, config } = await orphan(t, {}, async () => {});
  const before = lab.bot.attempts;
  const sinceMs = performance.now();
  lab.bot.decide = () => (performance.now() - sinceMs < 3_000 ? 503 : 'accept');
  const next = await Lab.start(t, {
    ari: lab.ari,
    bot: lab.bot,
    config: {
      ...config,
      BOT_CONNECT_MS: '200',
      BOT_RECONNECT_MS: '6000',
      FIRST_AUDIO_MS: '100',
      ARI_TIMEOUT_MS: '300',
    },
  });
  const session = await next.session(1);
  assert.ok(lab.bot.attempts > before + 1);
  assert.equal(session.events[0]?.reconnected, true);
  next.ari.hangUp(channel.id);
  assert.equal((await next.ended()).reason.kind, 'caller-hangup');
});

test('an adopted call whose record is read late, and that ends soon after, has one record and ends once', async (t) => {
  const { lab, channel, config } = await orphan(t, { X_CALL_ID: 'late' }, async () => {});
  const locked = new DatabaseSync(join(config.RECORDS_DIR ?? '', 'calls.db'));
  locked.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  const next = await Lab.start(t, {
    ari: lab.ari,
    bot: lab.bot,
    config: { ...config, API_TOKEN, RECONCILE_MS: '1000' },
  });
  await next.session(1);
  locked.close();
  await until(() => next.logged('the previous process left calls').length > 0, 'its record');
  next.ari.hangUp(channel.id);
  await next.ended();
  await new Promise((resolve) => setTimeout(resolve, 4_500));
  const { body } = await api(next, 'GET', '/calls');
  const records = (body as { calls: CallRecord[] }).calls;
  assert.deepEqual(
    records.map(({ callId, endReason }) => [callId, endReason]),
    [['late', 'caller-hangup']],
  );
});

test('an adopted call that has ended long before its record is read has one record, and ends once', async (t) => {
  const { lab, channel, config } = await orphan(t, { X_CALL_ID: 'later' }, async () => {});
  const locked = new DatabaseSync(join(config.RECORDS_DIR ?? '', 'calls.db'));
  locked.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  const next = await Lab.start(t, {
    ari: lab.ari,
    bot: lab.bot,
    config: { ...config, API_TOKEN, RECONCILE_MS: '200' },
  });
  await next.session(1);
  next.ari.hangUp(channel.id);
  await next.ended();
  // Its channel is not even known as one that has gone, by then.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  locked.close();
  await until(() => next.logged('call records are written again').length > 0, 'the records');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { body } = await api(next, 'GET', '/calls');
  const records = (body as { calls: CallRecord[] }).calls;
  assert.deepEqual(
    records.map(({ callId, endReason }) => [callId, endReason]),
    [['later', 'caller-hangup']],
  );
  assert.equal(next.logged('call record').length, 1);
});

test('a bot that spoke before the crash and closes after it has ended the call: it was there', async (t) => {
  const { lab, config } = await orphan(t, {}, async (session, channel, { ari }) => {
    session.speak(speech(2));
    await until(() => ari.mediaOf(channel.id).speech().length > 0, 'heard');
  });
  const next = await Lab.start(t, { ari: lab.ari, bot: lab.bot, config });
  const session = await next.session(1);
  await until(() => session.of('answered').length > 0, 'goes on');
  session.close(1000);
  assert.equal((await next.ended()).reason.kind, 'bot-closed');
});
