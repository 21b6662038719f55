import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api } from './api-client.ts';
import { startProcess } from './bridge-process.ts';
import { Lab, speech, until } from './harness.ts';

/** Fast where the product waits by design. */
const FAST = { ARI_HEARTBEAT_MS: '100' };

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'handover-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** Settings of a bridge that may dial. */
function placing(t: TestContext): Record<string, string> {
  const directory = mkdtempSync(join(tmpdir(), 'handover-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  writeFileSync(
    join(directory, 'pb_fintech.env'),
    'COUNTRY_CODE=49\nNUMBER_FORMAT=national\nCALLER_ID=+4930111\n',
  );
  return { API_TOKEN, PROVIDERS_DIR: directory };
}

/** A second process of the bridge on the same Asterisk. It takes the new calls. */
async function successor(t: TestContext, first: Lab, config: Record<string, string> = {}): Promise<Lab> {
  const url = `http://127.0.0.1:${first.ari.port}`;
  return await Lab.start(t, { config: { ...FAST, ARI_URL: url, ...config } });
}

/** Says how long something took, for docs/RELIABILITY.md. */
function tellTime(t: TestContext, what: string, sinceMs: number): void {
  const ms = performance.now() - sinceMs;
  t.diagnostic(
    `${what}: ${Math.round(ms)} ms, ${(ms / Number(FAST.ARI_HEARTBEAT_MS)).toFixed(1)} heartbeats`,
  );
}

/** Whether a process has handed its calls' app over. */
const handedOver = (lab: Lab) => until(() => lab.logged('handed over to a new process')[0], 'handed over');

test('a new process takes the new calls; a call in progress stays with the old one and its bot', async (t) => {
  const first = await Lab.start(t, { config: { ...FAST, RECONCILE_MS: '100' } });
  const { channel, session } = await first.call();
  const { takeovers } = first.ari;
  const second = await successor(t, first);
  await handedOver(first);
  assert.equal(first.ari.takeovers, takeovers + 1, 'the app was taken once');
  assert.equal(first.logged('call ended').length, 0);
  assert.equal(second.logged('objects of a previous process: removed or adopted').length, 0);
  session.speak(speech(3, 5));
  const rtp = first.ari.mediaOf(channel.id);
  await until(() => rtp.speech().includes(speech(3, 5)), 'the caller hears the first bot');
  assert.equal(session.closed, undefined);
  const newcomer = first.ari.inbound();
  const next = await second.session();
  await until(() => next.of('answered').length > 0, 'answered by the second process');
  first.ari.pressKey(channel, '5', 100);
  await until(() => session.of('dtmf').length === 1, 'the key is for the first bot');
  assert.equal(next.of('dtmf').length, 0);
  // Longer than a comparison and a look at predecessors take.
  await delay(500);
  for (const { id } of [channel, newcomer])
    assert.equal(first.ari.membersOf(id)?.size, 2, 'neither touches what the other made');
  first.ari.hangUp(channel.id);
  assert.equal((await first.ended()).reason.kind, 'caller-hangup');
  assert.equal(first.bot.sessions.length, 1, 'one bot for the first call');
  assert.match((await first.get('/readyz')).body, /a new process takes the new calls/);
  await first.stop();
  assert.equal((await second.get('/readyz')).status, 200);
  first.ari.hangUp(newcomer.id);
  assert.equal((await second.ended()).reason.kind, 'caller-hangup');
});

test('a caller who arrives while the app changes hands has one bot, of one process', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  const callers: string[] = [first.ari.inbound().id];
  const arrive = () => void callers.push(first.ari.inbound().id);
  // In each step: the request, a move, both answers, and as soon as the successor has the app.
  let moves = 0;
  first.ari.before(/^POST \/channels\/.*\/move$/, () => (moves++ === 0 ? arrive() : undefined));
  first.ari.before(/^POST \/events\/user\/handover-/, arrive);
  first.ari.after(/^POST \/asterisk\/variable$/, ({ query }) => {
    if (/^(ready|asked|done)$/.test(query.get('value') ?? '')) arrive();
  });
  const second = await successor(t, first);
  await handedOver(first);
  arrive();
  const sessions = () => first.bot.sessions.length + second.bot.sessions.length;
  await until(() => sessions() === callers.length, 'a bot each');
  await delay(500);
  assert.equal(callers.length, 7);
  assert.equal(sessions(), callers.length);
  assert.ok(first.bot.sessions.length >= 4 && second.bot.sessions.length >= 1);
  for (const id of callers) first.ari.hangUp(id);
  const ends = () => [first, second].flatMap((lab) => lab.logged('call ended'));
  await until(() => ends().length === callers.length, 'an end each');
  for (const { reason } of ends()) assert.equal((reason as { kind: string }).kind, 'caller-hangup');
});

test('a call that somebody else places while the app changes hands has one record', async (t) => {
  const records = { RECORDS_DIR: folder(t), API_TOKEN };
  const first = await Lab.start(t, { config: { ...FAST, ...records } });
  const channel = first.ari.originate({ variables: { X_CALL_ID: 'handed-over' } });
  const state = async (lab: Lab) => (await api(lab, 'GET', '/calls/handed-over')).body.state;
  await until(async () => (await state(first)) === 'ringing', 'it rings');
  const second = await successor(t, first, records);
  await handedOver(first);
  first.ari.answered(channel);
  const session = await second.session();
  await until(() => session.of('answered').length > 0, 'answered');
  first.ari.hangUp(channel.id);
  await second.ended();
  const { calls } = (await api(second, 'GET', '/calls')).body as unknown as { calls: object[] };
  assert.equal(calls.length, 1);
  assert.partialDeepStrictEqual(calls[0], { callId: 'handed-over', endReason: 'caller-hangup' });
});

test('the old process is killed while it drains: its calls are adopted by the new one', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const records = { RECORDS_DIR: folder(t), API_TOKEN };
  const { child } = await startProcess(t, lab, { ...FAST, ...records, PLAYOUT_PREBUFFER_MS: '0' });
  const channel = lab.ari.inbound({ variables: { X_CALL_ID: 'of-the-first' } });
  await until(() => lab.bot.sessions[0]?.of('answered').length === 1, 'the call is up');
  const second = await successor(t, lab, records);
  const record = async () => (await api(second, 'GET', '/calls/of-the-first')).body;
  await until(async () => (await record()).state === 'active', 'the new process knows of it');
  await delay(300);
  assert.equal(lab.bot.sessions[0]?.closed, undefined, 'its bot is undisturbed');
  const sinceMs = performance.now();
  child.kill('SIGKILL');
  const session = await second.session();
  assert.equal(session.of('start')[0]?.reconnected, true);
  await until(() => session.of('answered').length > 0, 'adopted');
  tellTime(t, 'without a bot', sinceMs);
  session.speak(speech(3, 9));
  await until(() => lab.ari.mediaOf(channel.id).speech().includes(speech(3, 9)), 'audio');
  assert.equal(lab.ari.ownOf(channel.id, 'pcb').length, 1, 'the old mixing bridge is removed');
  lab.ari.hangUp(channel.id);
  assert.equal((await second.ended()).reason.kind, 'caller-hangup');
  await until(async () => (await record()).state === 'closed', 'one record');
  assert.equal((await api(second, 'GET', '/calls')).body.calls.length, 1);
});

test('a process that stands still while it drains loses its calls to the new one, and touches them no more', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { child } = await startProcess(t, lab, FAST);
  const channel = lab.ari.inbound();
  await until(() => lab.bot.sessions[0]?.of('answered').length === 1, 'the call is up');
  const second = await successor(t, lab);
  const sinceMs = performance.now();
  child.kill('SIGSTOP');
  const session = await second.session();
  await until(() => session.of('answered').length > 0, 'adopted');
  tellTime(t, 'without a bot', sinceMs);
  child.kill('SIGCONT');
  await until(() => lab.bot.sessions[0]?.closed !== undefined, 'the old bot is let go');
  await delay(500);
  assert.equal(lab.ari.channels.has(channel.id), true);
  session.speak(speech(3, 9));
  await until(() => lab.ari.mediaOf(channel.id).speech().includes(speech(3, 9)), 'audio');
  lab.ari.hangUp(channel.id);
  assert.equal((await second.ended()).reason.kind, 'caller-hangup');
});

test('a callee whose phone rings while the app changes hands talks to the bot of the process that dialled', async (t) => {
  const first = await Lab.start(t, { config: { ...FAST, ...placing(t) } });
  const order = await api(first, 'POST', '/calls', { to: '+4930777777', provider: 'pb_fintech' });
  assert.equal(order.status, 202);
  const dialled = await until(
    () => [...first.ari.channels.values()].find(({ ringSeconds }) => ringSeconds),
    'dial',
  );
  first.ari.rings(dialled);
  const second = await successor(t, first, placing(t));
  await handedOver(first);
  assert.equal(
    (await api(first, 'POST', '/calls', { to: '+4930777778', provider: 'pb_fintech' })).status,
    503,
  );
  first.ari.picksUp(dialled);
  const session = await first.session();
  await until(() => session.of('start').length === 1, 'the first bot has the call');
  await delay(300);
  assert.equal(second.bot.attempts, 0);
  first.ari.hangUp(dialled.id);
  assert.equal((await first.ended()).reason.kind, 'caller-hangup');
});

test('a phone that another client calls, and that rings during a handover, is known to the new process at once', async (t) => {
  const shared = { API_TOKEN, RECORDS_DIR: folder(t) };
  const first = await Lab.start(t, { config: { ...FAST, ...shared } });
  const channel = first.ari.originate();
  const state = async (lab: Lab) =>
    ((await api(lab, 'GET', `/calls/${channel.id}`)).body as { state?: string }).state;
  await until(async () => (await state(first)) === 'ringing', 'it rings');
  const second = await successor(t, first, shared);
  await handedOver(first);
  await until(async () => (await state(second)) === 'ringing', 'the new process knows');
  // What the first one has still to write.
  await delay(200);
  assert.equal(await state(second), 'ringing');
  first.ari.answered(channel);
  const session = await second.session();
  await until(() => session.of('answered').length > 0, 'answered');
  first.ari.hangUp(channel.id);
  await second.ended();
  const { body } = await api(second, 'GET', `/calls/${channel.id}`);
  assert.equal((body as { endReason?: string }).endReason, 'caller-hangup');
});

test('the new process ends: the old one, which drains, takes new calls again, and hands over anew', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  const { channel, session } = await first.call();
  for (const round of [1, 2]) {
    const second = await successor(t, first);
    await until(() => first.logged('handed over to a new process').length === round, 'handed over');
    const newcomer = first.ari.inbound();
    await second.session();
    first.ari.hangUp(newcomer.id);
    await second.ended();
    await second.stop();
    const sinceMs = performance.now();
    await until(() => first.logged('new calls come here again').length === round, 'back');
    tellTime(t, 'nobody takes new calls', sinceMs);
    await until(async () => (await first.get('/readyz')).status === 200, 'ready');
    const { channel: next } = await first.call();
    first.ari.hangUp(next.id);
    await first.ended(round - 1);
    assert.equal(session.closed, undefined);
    session.speak(speech(3, round));
    await until(() => first.ari.mediaOf(channel.id).speech().includes(speech(3, round)), 'audio');
  }
  first.ari.pressKey(channel, '7', 100);
  await until(() => session.of('dtmf').length === 1, 'one key');
  first.ari.hangUp(channel.id);
  assert.equal((await first.ended(2)).reason.kind, 'caller-hangup');
});
