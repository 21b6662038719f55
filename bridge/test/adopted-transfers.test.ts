/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { RecordStore } from '../src/records/store.ts';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import { FakeAri } from './fake-ari.ts';
import type { FakeChannel } from './fake-channel.ts';
import { FakeReceiver } from './fake-receiver.ts';
import { Lab, until } from './harness.ts';

const TO = '+4930999000';
const ID = 'handed-over';

/** A caller who was handed over to a second leg by a process that is killed then. */
interface HandedOver {
  readonly lab: Lab;
  readonly caller: FakeChannel;
  readonly leg: FakeChannel;
  readonly config: Record<string, string>;
  readonly receiver: FakeReceiver;
  /** Whom the bot has been sought for until then. */
  readonly attempts: number;
}

async function handedOver(t: TestContext, options: { isAnswered?: boolean } = {}): Promise<HandedOver> {
  const directory = mkdtempSync(join(tmpdir(), 'handed-over-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const file = 'COUNTRY_CODE=49\nTRANSFER_METHOD=bridge\nOUTBOUND_MAX_CALLS=1\n';
  writeFileSync(join(directory, 'pb_fintech.env'), file);
  const receiver = await FakeReceiver.start('secret');
  t.after(() => receiver.close());
  const config = {
    RECORDS_DIR: directory,
    PROVIDERS_DIR: directory,
    API_TOKEN,
    TRANSFER_RING_S: '20',
    CALLBACK_HOSTS: '127.0.0.1',
  };
  const lab = await Lab.start(t);
  const { child } = await startProcess(t, lab, config);
  const variables = { X_CALL_ID: ID, X_CALLBACK_URL: receiver.url };
  const caller = lab.ari.inbound({ variables });
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'answered');
  await until(() => lab.ari.membersOf(caller.id)?.size === 2, 'joined');
  await new Promise((resolve) => setTimeout(resolve, 200));
  session.send({ event: 'transfer', to: TO });
  const leg = await until(() => {
    const channel = lab.ari.channels.get(lab.ari.ownOf(caller.id, 'pct')[0] ?? '');
    return channel?.done.includes('dial') && channel;
  }, 'the second leg is dialled');
  lab.ari.rings(leg);
  if (options.isAnswered ?? true) {
    lab.ari.picksUp(leg);
    await until(() => session.closed !== undefined, 'the bot is let go');
    await until(() => lab.ari.mediaIdOf(caller.id) === '', 'its media too');
  } else await until(() => lab.ari.membersOf(caller.id)?.has(leg.id), 'it rings');
  // Its record is on disk by then.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const isGone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await isGone;
  return { lab, caller, leg, config, receiver, attempts: lab.bot.attempts };
}

async function nextOf({ lab, config }: HandedOver, t: TestContext, more = {}): Promise<Lab> {
  return await Lab.start(t, { ari: lab.ari, bot: lab.bot, config: { ...config, ...more } });
}

const record = async (lab: Lab, id = ID) => (await api(lab, 'GET', `/calls/${id}`)).body;

/** The next process has the call, and leaves the two alone. */
async function assertTalking({ caller, leg, lab: { ari }, ...before }: HandedOver, next: Lab): Promise<void> {
  await until(async () => (await record(next)).state === 'active', 'the call is live');
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.deepEqual(
    [...ari.bridges.values()].map((members) => [...members].sort()),
    [[caller.id, leg.id].sort()],
    'the two, and nobody else',
  );
  assert.deepEqual([...ari.channels.keys()].sort(), [caller.id, leg.id].sort());
  assert.equal(next.bot.attempts, before.attempts, 'no bot is sought');
  assert.equal(next.logged('call ended').length, 0);
  assert.equal(await next.metric('calls_active'), 1);
  assert.equal(await next.metric('rtp_ports_in_use'), 0);
}

/** Nothing is left, and the end was told once. */
async function assertOver({ lab: { ari }, receiver }: HandedOver, next: Lab): Promise<void> {
  const closed = await until(async () => {
    const body = await record(next);
    return body.state === 'closed' && body;
  }, 'the record ends');
  assert.partialDeepStrictEqual(closed, {
    endReason: 'transferred',
    endedBy: 'bot',
    transfer: { to: TO, mode: 'blind', status: 'completed' },
  });
  assert.deepEqual([[...ari.channels.keys()], [...ari.bridges.keys()]], [[], []]);
  await until(() => receiver.callbacks.length > 0, 'the callback');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(receiver.callbacks.length, 1);
  assert.equal((await api(next, 'GET', '/calls?limit=10')).body.calls.length, 1);
}

const leaves = (ari: FakeAri, channel: FakeChannel) => {
  ari.hangUp(channel.id);
  for (const members of ari.bridges.values()) members.delete(channel.id);
};

for (const who of ['callee', 'caller', 'operator'] as const) {
  test(`two who talk are kept together by the next process, until the ${who} ends it`, async (t) => {
    const before = await handedOver(t);
    const next = await nextOf(before, t);
    await assertTalking(before, next);
    assert.partialDeepStrictEqual(await record(next), { transfer: { to: TO, status: 'completed' } });
    if (who === 'operator') assert.equal((await api(next, 'DELETE', `/calls/${ID}`)).status, 202);
    else leaves(before.lab.ari, who === 'caller' ? before.caller : before.leg);
    assert.deepEqual((await next.ended()).reason, { kind: 'transferred', by: 'bot' });
    await assertOver(before, next);
  });
}

test('two who talk are found without any record, and comparisons leave them alone', async (t) => {
  const before = await handedOver(t);
  const other = mkdtempSync(join(tmpdir(), 'handed-over-'));
  t.after(() => rmSync(other, { recursive: true, force: true, maxRetries: 5 }));
  const next = await nextOf(before, t, { RECORDS_DIR: other, RECONCILE_MS: '100' });
  await assertTalking(before, next);
  assert.partialDeepStrictEqual(await record(next), { transfer: { mode: 'blind', status: 'completed' } });
  leaves(before.lab.ari, before.leg);
  assert.equal((await next.ended()).reason.kind, 'transferred');
  assert.equal(before.lab.ari.channels.size, 0);
});

test('the longest duration of two who talk counts from the answer, and ends both', async (t) => {
  const before = await handedOver(t);
  const next = await nextOf(before, t, { MAX_CALL_DURATION_S: '3', MAX_DURATION_WARNING_S: '2' });
  const startMs = performance.now();
  assert.equal((await next.ended()).reason.kind, 'transferred');
  assert.ok(performance.now() - startMs < 2_900, 'the time before counts');
  await assertOver(before, next);
});

test('a kept second leg counts among the calls that its provider may be asked for', async (t) => {
  const before = await handedOver(t);
  const next = await nextOf(before, t);
  await assertTalking(before, next);
  const order = { to: TO, provider: 'pb_fintech' };
  assert.equal((await api(next, 'POST', '/calls', order)).status, 429);
  leaves(before.lab.ari, before.leg);
  await next.ended();
});

test('two who talk are not parted for want of a place', async (t) => {
  const before = await handedOver(t);
  const { ari } = before.lab;
  const newcomer = ari.add({ state: 'Ring', inStasis: true });
  // Whoever Asterisk names first has the place.
  ari.channels.delete(before.caller.id);
  ari.channels.set(before.caller.id, before.caller);
  const next = await nextOf(before, t, { MAX_CALLS: '1' });
  await next.session(1);
  await until(async () => (await record(next)).state === 'active', 'the call is live');
  assert.deepEqual(
    [...(ari.membersOf(before.caller.id) ?? [])].sort(),
    [before.caller.id, before.leg.id].sort(),
  );
  leaves(ari, before.leg);
  assert.equal((await next.ended()).reason.kind, 'transferred');
  ari.hangUp(newcomer.id);
  await next.ended(1);
});

test('who hangs up while no process is there has ended the call: the other gets no bot', async (t) => {
  const before = await handedOver(t);
  leaves(before.lab.ari, before.leg);
  const next = await nextOf(before, t);
  assert.deepEqual((await next.ended()).reason, { kind: 'transferred', by: 'bot' });
  assert.equal(next.bot.attempts, before.attempts);
  await assertOver(before, next);
});

test('a caller whose transfer still rang has their bot again, and nobody’s phone rings', async (t) => {
  const before = await handedOver(t, { isAnswered: false });
  const next = await nextOf(before, t);
  const session = await next.session(1);
  assert.equal(session.events[0]?.reconnected, true);
  await until(() => !before.lab.ari.channels.has(before.leg.id), 'the leg is hung up');
  const transfer = { to: TO, status: 'failed', reason: 'bridge-died' };
  await until(async () => (await record(next)).state === 'active', 'active');
  assert.partialDeepStrictEqual(await record(next), { transfer });
  leaves(before.lab.ari, before.caller);
  assert.equal((await next.ended()).reason.kind, 'caller-hangup');
});

test('another bridge that takes the app without asking keeps two who talk together, and the one before tells of no end', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'handed-over-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  writeFileSync(join(directory, 'pb_fintech.env'), 'COUNTRY_CODE=49\nTRANSFER_METHOD=bridge\n');
  const receiver = await FakeReceiver.start('secret');
  t.after(() => receiver.close());
  const config = {
    PROVIDERS_DIR: directory,
    API_TOKEN,
    CALLBACK_HOSTS: '127.0.0.1',
    ARI_HEARTBEAT_MS: '100',
  };
  const first = await Lab.start(t, { config: { ...config, RECORDS_DIR: directory } });
  const variables = { X_CALL_ID: ID, X_CALLBACK_URL: receiver.url };
  const { channel: caller, session } = await first.call({ variables });
  session.send({ event: 'transfer', to: TO });
  const { ari } = first;
  ari.before(/^POST \/events\/user\/handover-/, () => 404);
  const leg = await until(() => {
    const channel = ari.channels.get(ari.ownOf(caller.id, 'pct')[0] ?? '');
    return channel?.done.includes('dial') && channel;
  }, 'the second leg is dialled');
  ari.picksUp(leg);
  await until(() => session.closed !== undefined, 'the bot is let go');
  const next = await Lab.start(t, { config: { ...config, ARI_URL: `http://127.0.0.1:${ari.port}` } });
  await until(async () => (await record(first)).state === 'closed', 'let go');
  assert.equal((await record(first)).endReason, 'taken-over');
  await until(async () => (await record(next)).state === 'active', 'the call is live there');
  assert.deepEqual([...(ari.membersOf(caller.id) ?? [])].sort(), [caller.id, leg.id].sort());
  leaves(ari, leg);
  assert.equal((await next.ended()).reason.kind, 'transferred');
  await until(() => receiver.callbacks.length > 0, 'the callback');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(receiver.callbacks.length, 1);
  assert.equal(ari.channels.size, 0);
});

test('whom the operator has handed over was handed over by the operator, and a process that died before it wrote so has joined them', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'handed-over-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const ari = await FakeAri.start();
  const caller = ari.add({ state: 'Up', inStasis: true });
  const leg = ari.add({ id: `pct-0a1b2c3d-4.2-${caller.id}~`, state: 'Up', inStasis: true });
  const bridgeId = `pcb-0a1b2c3d-4-${caller.id}`;
  // The leg has answered, and was not put into the bridge any more.
  ari.bridges.set(bridgeId, new Set([caller.id]));
  const log = pino({ level: 'silent' });
  const store = new RecordStore({ directory, process: 'before', days: 1, maxMegabytes: 100 }, log, () => {});
  await store.ready();
  const atMs = (ms: number) => new Date(Date.now() - ms).toISOString();
  store.save({
    callId: ID,
    channelId: caller.id,
    provider: 'pb_fintech',
    direction: 'inbound',
    setupMs: {},
    from: '+4930111',
    to: '+4930222',
    state: 'active',
    transferBy: 'operator',
    transfer: { to: TO, mode: 'blind', status: 'pending' },
    times: { offered: atMs(2_000), botReady: atMs(1_900), answered: atMs(1_000) },
  });
  await store.close();
  const lab = await Lab.start(t, { ari, config: { RECORDS_DIR: directory, API_TOKEN } });
  await until(() => ari.bridges.get(bridgeId)?.has(leg.id), 'they are joined');
  assert.partialDeepStrictEqual(await record(lab), {
    transfer: { to: TO, mode: 'blind', status: 'completed' },
  });
  assert.equal(lab.bot.attempts, 0);
  leaves(ari, leg);
  assert.deepEqual((await lab.ended()).reason, { kind: 'transferred', by: 'operator' });
  const closed = await until(async () => {
    const body = await record(lab);
    return body.state === 'closed' && body;
  }, 'the record ends');
  assert.partialDeepStrictEqual(closed, { endReason: 'transferred', endedBy: 'operator' });
  assert.equal(ari.channels.size, 0);
});
