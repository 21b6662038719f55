/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { API_TOKEN, api } from './api-client.ts';
import { ORDER, PROVIDER, startLab } from './api-lab.ts';
import { startProcess } from './bridge-process.ts';
import { FakeAri } from './fake-ari.ts';
import type { AriRequest } from './fake-ari-request.ts';
import { Lab, speech, until } from './harness.ts';

const GATE = 'PIPECAT_GATE_pipecat';
/** What the dialplan reads, as it reads it: whether a caller who comes now is turned away. */
function isClosed(ari: FakeAri): boolean {
  const until = Number(/\d+/.exec(ari.globals.variables.get(GATE) ?? '')?.[0] ?? 0);
  return until > Math.floor(Date.now() / 1_000);
}
const gateWrites = (ari: FakeAri) =>
  ari.requests.filter(({ path, query }) => path === '/asterisk/variable' && query.get('variable') === GATE);

test('at MAX_CALLS Asterisk is told to turn callers away, until a call ends', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  assert.equal(isClosed(lab.ari), false);
  const { channel } = await lab.call();
  await until(() => isClosed(lab.ari), 'closed');
  assert.equal(lab.ari.globals.variables.get(GATE)?.includes('stopping'), false);
  assert.equal(await lab.metric('gate_closed'), 1);
  assert.equal(await lab.metric('gate_closings_total{why="at-capacity"}'), 1);
  lab.ari.hangUp(channel.id);
  await until(() => !isClosed(lab.ari), 'open');
  assert.equal(await lab.metric('gate_closed'), 0);
});

test('an operator who waits for the calls: the gate is closed and says so, orders are refused, the call goes on', async (t) => {
  const lab = await startLab(t, PROVIDER);
  const { channel } = await lab.call();
  lab.daemon.suspendCalls();
  await until(() => isClosed(lab.ari), 'closed');
  const { status, body } = await lab.get('/readyz');
  assert.equal(status, 503);
  assert.match(body, /the operator lets the calls end/);
  assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 503);
  assert.equal(lab.logged('call ended').length, 0);
  await until(() => !isClosed(lab.ari), 'it opens by itself', 15_000);
  assert.equal((await lab.get('/readyz')).status, 200);
  assert.equal((await api(lab, 'POST', '/calls', ORDER)).status, 202);
  for (const id of [...lab.ari.channels.keys()]) lab.ari.hangUp(id);
  assert.equal(channel.continued, false);
});

test('Asterisk is told how many calls one of several providers may have', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '9', PROVIDER_SHARE_PERCENT: '70' } });
  await until(() => lab.ari.globals.variables.get('PIPECAT_SHARE_pipecat') === '7', 'the share');
});

test('a caller who was on the way to Stasis when the gate closed is given back as at capacity', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  await lab.call();
  const late = lab.ari.inbound();
  await until(() => late.continued, 'given back');
  assert.equal(late.variables.PIPECAT_STATUS, 'at-capacity');
  assert.equal(lab.bot.attempts, 1);
  for (const id of [...lab.ari.channels.keys()]) lab.ari.hangUp(id);
});

test('a closed gate is a lease, which is renewed while the bridge runs', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  const { channel } = await lab.call();
  await until(() => isClosed(lab.ari), 'closed');
  const first = lab.ari.globals.variables.get(GATE);
  assert.ok(Number(first) <= Date.now() / 1_000 + 6, 'a few seconds');
  await until(() => Number(lab.ari.globals.variables.get(GATE)) > Number(first), 'renewed');
  lab.ari.hangUp(channel.id);
});

test('a gate that another process left closed is opened by the first that takes calls', async (t) => {
  const ari = await FakeAri.start();
  ari.globals.variables.set(GATE, String(Math.ceil(Date.now() / 1_000) + 500));
  await Lab.start(t, { ari });
  await until(() => !isClosed(ari), 'open');
});

test('after a new connection the gate is told again: Asterisk may have started anew', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  const { channel } = await lab.call();
  await until(() => isClosed(lab.ari), 'closed');
  lab.ari.globals.variables.delete(GATE);
  lab.ari.dropEvents();
  await until(() => isClosed(lab.ari), 'closed again');
  lab.ari.hangUp(channel.id);
});

test('while another process has the app, nothing is written to its gate', async (t) => {
  const first = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  await first.call();
  await until(() => isClosed(first.ari), 'closed');
  const second = await Lab.start(t, { ari: first.ari });
  await until(() => !isClosed(first.ari), 'open');
  const writes = gateWrites(first.ari).length;
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual(gateWrites(first.ari).slice(writes), []);
  for (const id of [...second.ari.channels.keys()]) second.ari.hangUp(id);
});

test('a drain: no new calls, who rings is given back, and live calls go on with all that they have', async (t) => {
  const lab = await startLab(t, PROVIDER, { config: { STOP_DRAIN_S: '600' } });
  const { channel, session } = await lab.call();
  lab.bot.decide = () => 'never';
  const ringing = lab.ari.inbound();
  await until(() => lab.bot.attempts === 2, 'the second caller hears ringing');
  let isDone = false;
  const drained = lab.stopped().then(() => {
    isDone = true;
  });
  await until(() => ringing.continued, 'who rings is given back');
  assert.equal(ringing.variables.PIPECAT_STATUS, 'shutdown');
  await until(() => isClosed(lab.ari), 'the gate is closed');
  assert.match(lab.ari.globals.variables.get(GATE) ?? '', /^\d+ stopping$/);
  const late = lab.ari.inbound();
  await until(() => late.continued, 'who was on the way is given back');
  assert.equal(late.variables.PIPECAT_STATUS, 'shutdown');
  const ready = await lab.get('/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.body, /the bridge is stopping/);
  const order = await api(lab, 'POST', '/calls', ORDER);
  assert.equal(order.status, 503);
  assert.ok(Number(order.headers.get('retry-after')) > 0);
  // The live call: audio both ways, and the API.
  session.speak(speech(10));
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => rtp.speech().length >= 1_600, 'the caller hears the bot');
  assert.equal((await api(lab, 'GET', `/calls/${channel.id}`)).body.state, 'active');
  assert.equal(isDone, false);
  lab.ari.hangUp(channel.id);
  await drained;
  for (const id of [ringing.id, late.id]) lab.ari.hangUp(id);
});

test('after STOP_DRAIN_S: the bot is played out and told, the caller goes to the dialplan, the record says shutdown', async (t) => {
  const lab = await Lab.start(t, { config: { STOP_DRAIN_S: '1', SHUTDOWN_MS: '5000' } });
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  const startedMs = performance.now();
  await lab.stopped();
  assert.ok(performance.now() - startedMs > 950, 'the time was waited for');
  session.speak(speech(25));
  await until(() => rtp.speech().length > 0, 'the bot begins its last words');
  await lab.stop();
  assert.equal(rtp.speech().length, 25 * 160);
  assert.equal(session.of('hangup')[0]?.reason, 'shutdown');
  assert.equal(channel.continued, true);
  assert.equal(channel.variables.PIPECAT_STATUS, 'shutdown');
  const { reason, by } = await lab.ended();
  assert.deepEqual([reason.kind, by], ['shutdown', 'operator']);
});

test('last words take SHUTDOWN_MS at most', async (t) => {
  const lab = await Lab.start(t, { config: { SHUTDOWN_MS: '300' } });
  const { channel, session } = await lab.call();
  session.speak(speech(500));
  await until(() => lab.ari.mediaOf(channel.id).speech().length > 0, 'ten seconds of last words');
  const startedMs = performance.now();
  await lab.stop();
  assert.ok(performance.now() - startedMs < 3_000, `${performance.now() - startedMs} ms`);
});

for (const { signals, limitMs } of [
  { signals: ['SIGTERM', 'SIGTERM'], limitMs: 3_000 },
  { signals: ['SIGINT', 'SIGTERM'], limitMs: 3_000 },
] as const) {
  test(`the process: ${signals.join(', then ')} ends all at once, in order`, async (t) => {
    const lab = await Lab.start(t);
    const { child } = await startProcess(t, lab, { STOP_DRAIN_S: '600', SHUTDOWN_MS: '60000' });
    const { channel, session } = await lab.call();
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
    session.speak(speech(1_000));
    child.kill(signals[0]);
    await until(() => isClosed(lab.ari), 'the gate is closed');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(child.exitCode, null, 'it waits for its call');
    assert.equal(channel.continued, false);
    const startedMs = performance.now();
    child.kill(signals[1]);
    assert.equal(await exit, 0);
    assert.ok(performance.now() - startedMs < limitMs, `${performance.now() - startedMs} ms`);
    assert.equal(session.of('hangup')[0]?.reason, 'shutdown');
    assert.equal(channel.continued, true);
  });
}

describe('a caller whom the dialplan lets wait for the bridge', () => {
  const variables = { INBOUND_WAIT_S: '20' };
  const LIMIT = 'TIMEOUT(absolute)';
  const isLimit = ({ query }: AriRequest) => query.get('variable') === LIMIT;

  test('hears ringing already, and the limit of that wait ends before the answer', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call({ variables });
    assert.equal(channel.variables[LIMIT], '0');
    const steps = lab.ari.requests.filter((request) => request.path.includes(channel.id));
    const answered = steps.findIndex(({ path }) => path.endsWith('/answer'));
    assert.ok(steps.findIndex(isLimit) < answered);
    assert.equal(
      steps.some(({ path }) => path.endsWith('/ring')),
      false,
    );
    assert.equal(JSON.stringify(session.of('start')).includes('INBOUND_WAIT_S'), false);
    lab.ari.hangUp(channel.id);
  });

  test('is not answered while the limit cannot be ended, since it would cut the call', async (t) => {
    const lab = await Lab.start(t);
    lab.ari.before(/POST .*variable$/, (request) => (isLimit(request) ? 500 : undefined));
    const channel = lab.ari.inbound({ variables });
    assert.equal((await lab.ended()).reason.kind, 'setup-failed');
    assert.equal(channel.continued, true);
    assert.equal(
      lab.ari.log().some((line) => line.endsWith(`${channel.id}/answer`)),
      false,
    );
    lab.ari.hangUp(channel.id);
  });
});

test('a control thread that is late for 3 s takes no new calls, and does again after 5 s of calm', async (t) => {
  const config = { OVERLOAD_LOOP_MS: '100', OVERLOAD_LATE_PERCENT: '0', API_TOKEN };
  const lab = await Lab.start(t, { config });
  const { channel } = await lab.call();
  // Each turn of the event loop takes 400 ms: timers are late by about that.
  const block = setInterval(() => {
    const endMs = performance.now() + 400;
    while (performance.now() < endMs);
  }, 1);
  t.after(() => clearInterval(block));
  await until(() => lab.logged('new calls are turned away').length > 0, 'overloaded', 30_000);
  clearInterval(block);
  assert.equal(lab.logged('new calls are turned away')[0]?.why, 'overload');
  assert.ok(Number(lab.logged('new calls are turned away')[0]?.loopMs) >= 100);
  await until(() => isClosed(lab.ari), 'closed');
  assert.match((await lab.get('/readyz')).body, /the bridge is overloaded/);
  assert.equal(await lab.metric('gate_closings_total{why="overload"}'), 1);
  const late = lab.ari.inbound();
  await until(() => late.continued, 'given back');
  assert.equal(late.variables.PIPECAT_STATUS, 'overload');
  assert.equal(lab.ari.channels.has(channel.id), true, 'the live call goes on');
  await until(() => lab.logged('new calls are taken again').length > 0, 'calm', 30_000);
  await until(() => !isClosed(lab.ari), 'open');
  assert.equal((await lab.get('/readyz')).status, 200);
  for (const id of [channel.id, late.id]) lab.ari.hangUp(id);
});

test('Asterisk is about to stop: its calls end as a shutdown, and the bridge goes on with the next ones', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  const { channel, session } = await lab.call();
  lab.bot.decide = () => 'never';
  const ringing = lab.ari.inbound();
  await until(() => lab.bot.attempts === 2, 'the second caller hears ringing');
  lab.bot.decide = () => 'accept';
  lab.ari.emit('ChannelUserevent', { application: 'pipecat', eventname: 'asterisk-stopping' });
  await until(() => ringing.continued, 'who rings is given back');
  await until(() => lab.ari.channels.get(channel.id)?.continued === true, 'who talks is given back');
  await until(() => session.closed !== undefined, 'the bot is told');
  await lab.ended(1);
  const { body } = await api(lab, 'GET', `/calls/${channel.id}`);
  assert.deepEqual([body.endReason, body.endedBy], ['shutdown', 'operator']);
  for (const id of [channel.id, ringing.id]) lab.ari.hangUp(id);
  const next = await lab.call();
  lab.ari.hangUp(next.channel.id);
});
