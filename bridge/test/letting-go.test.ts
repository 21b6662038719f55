/**
 * How a process ends whose calls another process takes, or is to take.
 * Slow on purpose: `make test` runs it, `make check` does not.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import type { FakeChannel } from './fake-channel.ts';
import { FakeReceiver } from './fake-receiver.ts';
import { Lab, speech, until } from './harness.ts';

/** Fast where the product waits by design. */
const FAST = { ARI_HEARTBEAT_MS: '250' };

/** Settings of processes that share their records. */
function shared(t: TestContext): Record<string, string> {
  const directory = mkdtempSync(join(tmpdir(), 'letting-go-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return { ...FAST, RECORDS_DIR: directory, API_TOKEN, PLAYOUT_PREBUFFER_MS: '0' };
}

interface First {
  readonly lab: Lab;
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly channels: FakeChannel[];
}

/** A process of the bridge with calls that are up. */
async function first(t: TestContext, calls: number, settings: Record<string, string>): Promise<First> {
  const lab = await Lab.start(t, { config: FAST });
  const { child } = await startProcess(t, lab, settings);
  let output = '';
  child.stdout?.on('data', (text) => {
    output += text;
  });
  const channels = Array.from({ length: calls }, (_, i) =>
    lab.ari.inbound({ variables: { X_CALL_ID: `call-${i}` } }),
  );
  const isUp = () => lab.bot.sessions.filter((session) => session.of('answered').length === 1);
  await until(() => isUp().length === calls, 'the calls are up');
  return { lab, child, output: () => output, channels };
}

/** A second process on the same Asterisk. */
async function successor(t: TestContext, { lab }: First, settings: Record<string, string>): Promise<Lab> {
  return await Lab.start(t, { config: { ...settings, ARI_URL: `http://127.0.0.1:${lab.ari.port}` } });
}

/** The exit code of a process, as soon as it has ended. */
async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

/** Each call has a bot of the second process, and one record; then the callers hang up. */
async function assertAdopted({ lab, channels }: First, second: Lab): Promise<void> {
  const sessions = () => second.bot.sessions.filter((session) => session.of('answered').length === 1);
  await until(() => sessions().length === channels.length, 'adopted');
  for (const session of sessions()) assert.equal(session.of('start')[0]?.reconnected, true);
  for (const [i, channel] of channels.entries()) {
    assert.equal(lab.ari.channels.has(channel.id) && !channel.continued, true);
    await until(() => lab.ari.ownOf(channel.id, 'pcb').length === 1, 'one mixing bridge');
    const state = async () => (await api(second, 'GET', `/calls/call-${i}`)).body.state;
    await until(async () => (await state()) === 'active', 'the record says so');
    lab.ari.hangUp(channel.id);
  }
  await until(() => second.logged('call ended').length === channels.length, 'ended');
  const { calls } = (await api(second, 'GET', '/calls')).body;
  assert.deepEqual(
    calls.map(({ endReason }: { endReason: string }) => endReason),
    channels.map(() => 'caller-hangup'),
  );
}

test('DRAIN_S is over: the old process exits with 0, and the new one adopts its calls with their records', async (t) => {
  const settings = shared(t);
  const old = await first(t, 3, { ...settings, DRAIN_S: '1' });
  const second = await successor(t, old, settings);
  let goneMs = 0;
  const silences: number[] = [];
  const bots = old.lab.bot.sessions.slice();
  const speaking = setInterval(() => {
    for (const session of [...bots, ...second.bot.sessions])
      if (session.closed === undefined) session.speak(speech(1, 5));
    if (goneMs === 0 && bots.every(({ closed }) => closed !== undefined)) goneMs = performance.now();
  }, 20);
  t.after(() => clearInterval(speaking));
  assert.equal(await ended(old.child), 0);
  await until(() => second.bot.sessions.filter((s) => s.of('answered').length === 1).length === 3, 'adopted');
  for (const { id } of old.channels) {
    const rtp = old.lab.ari.mediaOf(id);
    await until(() => rtp.speech().length > 0, 'the caller hears the new bot');
    const firstMs = rtp.heard.find(({ payload }) => payload.some((byte) => byte !== 0xff))?.atMs ?? 0;
    silences.push(Math.round(firstMs - goneMs));
  }
  clearInterval(speaking);
  t.diagnostic(`silence from the old bot to the new one: ${silences.join(', ')} ms`);
  assert.ok(Math.max(...silences) < 1_500, silences.join());
  assert.match(old.output(), /bridge leaves its calls to another process/);
  await assertAdopted(old, second);
});

test('SIGTERM after the handover: it goes on until its calls have ended, and exits with 0', async (t) => {
  const settings = shared(t);
  const old = await first(t, 1, { ...settings, STOP_DRAIN_S: '0' });
  const second = await successor(t, old, settings);
  old.child.kill('SIGTERM');
  await until(() => old.output().includes('signal received'), 'told to stop');
  await delay(500);
  const [session] = old.lab.bot.sessions;
  assert.equal(session?.closed, undefined);
  const [channel] = old.channels;
  session?.speak(speech(3, 7));
  const rtp = old.lab.ari.mediaOf(channel?.id ?? '');
  await until(() => rtp.speech().includes(speech(3, 7)), 'the caller hears the bot');
  old.lab.ari.hangUp(channel?.id ?? '');
  assert.equal(await ended(old.child), 0);
  assert.equal(second.bot.attempts, 0);
  assert.equal((await api(second, 'GET', '/calls/call-0')).body.endReason, 'caller-hangup');
});

test('a second SIGTERM after the handover: it lets go at once, and nothing is hung up', async (t) => {
  const settings = shared(t);
  const old = await first(t, 2, settings);
  const second = await successor(t, old, settings);
  old.child.kill('SIGTERM');
  await until(() => old.output().includes('signal received'), 'told to stop');
  old.child.kill('SIGTERM');
  assert.equal(await ended(old.child), 0);
  await assertAdopted(old, second);
});

test('a successor comes during a drain: the calls go on as after each handover', async (t) => {
  const settings = shared(t);
  const old = await first(t, 1, { ...settings, STOP_DRAIN_S: '2' });
  old.child.kill('SIGTERM');
  await until(() => old.output().includes('bridge draining'), 'draining');
  const second = await successor(t, old, settings);
  const newcomer = old.lab.ari.inbound();
  const next = await second.session();
  await until(() => next.of('answered').length === 1, 'new calls are taken');
  await delay(2_500);
  assert.equal(old.lab.bot.sessions[0]?.closed, undefined);
  for (const { id } of [newcomer, ...old.channels]) old.lab.ari.hangUp(id);
  assert.equal(await ended(old.child), 0);
});

test('STOP_MODE=handover without a successor: nothing is hung up, and the next start adopts the calls', async (t) => {
  const settings = shared(t);
  const old = await first(t, 2, { ...settings, STOP_MODE: 'handover' });
  old.child.kill('SIGTERM');
  assert.equal(await ended(old.child), 0);
  const second = await successor(t, old, settings);
  await assertAdopted(old, second);
});

test('SIGQUIT: it ends once a successor has the app and its calls have ended, and not before', async (t) => {
  const settings = shared(t);
  const old = await first(t, 1, settings);
  old.child.kill('SIGQUIT');
  await until(() => old.output().includes('signal received'), 'told to retire');
  await delay(300);
  const further = old.lab.ari.inbound();
  await until(() => old.lab.bot.sessions[1]?.of('answered').length === 1, 'it takes calls');
  await successor(t, old, settings);
  await until(() => old.output().includes('handed over to a new process'), 'handed over');
  for (const { id } of [further, ...old.channels]) old.lab.ari.hangUp(id);
  assert.equal(await ended(old.child), 0);
});

test('the successor is told to stop while its predecessor lives: that one has the app again, no call is cut', async (t) => {
  const settings = shared(t);
  const old = await first(t, 1, settings);
  const second = await successor(t, old, settings);
  const newcomer = old.lab.ari.inbound({ variables: { X_CALL_ID: 'call-1' } });
  const session = await second.session();
  await until(() => session.of('answered').length === 1, 'the new process has a call');
  const stopped = second.stopped();
  await until(() => second.logged('handed over to a new process')[0], 'handed back');
  await until(() => old.output().includes('new calls come here again'), 'the old process has the app');
  const third = old.lab.ari.inbound({ variables: { X_CALL_ID: 'call-2' } });
  await until(() => old.lab.bot.sessions[1]?.of('answered').length === 1, 'and takes the new calls');
  assert.equal(session.closed, undefined);
  old.lab.ari.hangUp(newcomer.id);
  assert.equal(await stopped, 'stop');
  assert.deepEqual(
    second.logged('call ended').map(({ reason }) => (reason as { kind: string }).kind),
    ['caller-hangup'],
  );
  await second.stop();
  for (const { id } of [third, ...old.channels]) old.lab.ari.hangUp(id);
  old.child.kill('SIGTERM');
  assert.equal(await ended(old.child), 0);
});

test('the successor is killed with calls: its predecessor adopts them with their records', async (t) => {
  const settings = shared(t);
  const lab = await Lab.start(t, { config: settings });
  const { channel, session } = await lab.call();
  // startProcess stops the daemon of its lab: this one has its own.
  const idle = await Lab.start(t, { config: FAST });
  const { child } = await startProcess(t, idle, {
    ...settings,
    ARI_URL: `http://127.0.0.1:${lab.ari.port}`,
  });
  const newcomer = lab.ari.inbound({ variables: { X_CALL_ID: 'of-the-second' } });
  await until(() => idle.bot.sessions[0]?.of('answered').length === 1, 'the new process has a call');
  const state = async () => (await api(lab, 'GET', '/calls/of-the-second')).body.state;
  await until(async () => (await state()) === 'active', 'its record is written');
  child.kill('SIGKILL');
  const adopted = await lab.session(1);
  await until(() => adopted.of('answered').length === 1, 'adopted');
  assert.equal(adopted.of('start')[0]?.reconnected, true);
  assert.equal(session.closed, undefined);
  for (const { id } of [channel, newcomer]) lab.ari.hangUp(id);
  await lab.ended(1);
  assert.equal((await api(lab, 'GET', '/calls/of-the-second')).body.endReason, 'caller-hangup');
});

test('both are told to stop: neither waits for the other, and the calls end with last words', async (t) => {
  const settings = { ...shared(t), STOP_DRAIN_S: '1' };
  const old = await first(t, 1, settings);
  const second = await successor(t, old, settings);
  old.child.kill('SIGTERM');
  await until(() => old.output().includes('signal received'), 'told to stop');
  assert.equal(await second.stopped(), 'stop');
  await second.stop();
  assert.equal(await ended(old.child), 0);
  const [channel] = old.channels;
  assert.equal(channel?.variables.PIPECAT_STATUS, 'shutdown');
  for (const { id } of old.channels) old.lab.ari.hangUp(id);
});

test('a caller who hangs up while the process leaves has one callback, and the right record', async (t) => {
  const receiver = await FakeReceiver.start('secret');
  t.after(() => receiver.close());
  const settings = { ...shared(t), CALLBACK_HOSTS: '127.0.0.1', CALLBACK_SECRET: 'secret' };
  const old = await first(t, 0, settings);
  const { ari, bot } = old.lab;
  const channel = ari.inbound({ variables: { X_CALL_ID: 'call-0', X_CALLBACK_URL: receiver.url } });
  await until(() => bot.sessions[0]?.of('answered').length === 1, 'the call is up');
  // It looks for what others left as rarely as it can: the word of the first comes late.
  const second = await successor(t, old, { ...settings, ARI_HEARTBEAT_MS: '5000' });
  await until(() => old.output().includes('handed over to a new process'), 'handed over');
  ari.before(/^POST \/events\/user\/left-/, async () => {
    ari.hangUp(channel.id);
    await delay(1_000);
    return undefined;
  });
  for (const round of [1, 2]) {
    old.child.kill('SIGTERM');
    await until(() => old.output().split('signal received').length > round, 'told to stop');
  }
  assert.equal(await ended(old.child), 0);
  const record = async () => (await api(second, 'GET', '/calls/call-0')).body;
  await until(async () => (await record()).state === 'closed', 'it has ended');
  await delay(1_000);
  assert.equal((await record()).endReason, 'caller-hangup');
  assert.deepEqual(
    receiver.callbacks.map(({ fields }) => fields.status),
    ['completed'],
  );
});
