import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { claimVariable, formatClaim } from '../src/ari/claim.ts';
import { API_TOKEN, api } from './api-client.ts';
import { FakeAri } from './fake-ari.ts';
import { FakeReceiver } from './fake-receiver.ts';
import { Lab, speech, until } from './harness.ts';

/** Fast where the product waits by design. */
const FAST = { ARI_HEARTBEAT_MS: '100' };
const CLAIM = claimVariable('pipecat');

async function reconnected(lab: Lab, times = 2): Promise<void> {
  await until(() => lab.logged('ARI connected').length >= times, 'ARI is back');
}

/** Says when ARI was ready again, for docs/RELIABILITY.md. */
function tellTime(t: TestContext, sinceMs: number): void {
  const ms = performance.now() - sinceMs;
  const heartbeats = (ms / Number(FAST.ARI_HEARTBEAT_MS)).toFixed(1);
  t.diagnostic(`ready again after ${Math.round(ms)} ms, ${heartbeats} heartbeats`);
}

/** How often the app was taken from a bridge, and was its own again. */
async function takeovers(lab: Lab): Promise<number[]> {
  return [await lab.metric('app_taken_total'), await lab.metric('app_regained_total')];
}

/**
 * Another client's events socket: it takes over the app when it opens. Resolves when Asterisk has
 * switched to it.
 */
async function takeApp({ port, username, password }: FakeAri, t: TestContext): Promise<WebSocket> {
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ari/events?app=pipecat`, {
    headers: { authorization },
  });
  t.after(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return socket;
}

test('events that silently go nowhere are noticed: not ready, then connected anew, and the call goes on', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { channel, session } = await lab.call();
  const deafMs = performance.now();
  lab.ari.deafen();
  await until(() => lab.logged('ARI not connected, trying again').length > 0, 'the alarm');
  assert.match(String(lab.logged('ARI not connected, trying again')[0]?.why), /heartbeat/);
  await reconnected(lab);
  tellTime(t, deafMs);
  assert.equal((await lab.get('/readyz')).status, 200);
  assert.equal(lab.logged('call ended').length, 0);
  assert.equal(session.closed, undefined);
  const { channel: second } = await lab.call();
  for (const { id } of [channel, second]) lab.ari.hangUp(id);
  await lab.ended(1);
});

test('while the heartbeat does not come back the bridge is not ready, and ari_up is 0', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const passes = lab.ari.emit.bind(lab.ari);
  lab.ari.emit = (type, fields) => void (type === 'ChannelUserevent' || passes(type, fields));
  const { body } = await until(async () => {
    const ready = await lab.get('/readyz');
    return ready.status === 503 && ready;
  }, 'not ready');
  assert.match(body, /heartbeat|not known yet/);
  assert.equal(await lab.metric('ari_up'), 0);
  lab.ari.emit = passes;
  await reconnected(lab);
  assert.equal(await lab.metric('ari_up'), 1);
});

test('an app that Asterisk has lost is registered anew, before any limit', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_HEARTBEAT_MS: '1000' } });
  lab.ari.loseApp();
  await until(() => lab.logged('ARI not connected, trying again').length > 0, 'the loss', 1_900);
  assert.match(String(lab.logged('ARI not connected, trying again')[0]?.why), /app/);
  await reconnected(lab);
});

test('an app that the comparison does not find is registered anew', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_HEARTBEAT_MS: '60000', RECONCILE_MS: '100' } });
  lab.ari.loseApp();
  await reconnected(lab);
  assert.match(String(lab.logged('ARI not connected, trying again')[0]?.why), /applications.* 404/);
});

test('a late handshake that takes the app and is gone: the app is back at once, and its calls go on', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { channel, session } = await lab.call();
  const late = await takeApp(lab.ari, t);
  const takenMs = performance.now();
  late.terminate();
  await until(() => lab.logged('ARI connected').length === 2, 'ARI is back', 2_000);
  tellTime(t, takenMs);
  assert.deepEqual(await takeovers(lab), [1, 1]);
  assert.equal(lab.logged('call ended').length, 0);
  assert.equal(session.closed, undefined);
  session.speak(speech(3));
  await until(() => lab.ari.mediaOf(channel.id).speech().length >= 480, 'the bot is heard');
  const { channel: second } = await lab.call();
  for (const { id } of [channel, second]) lab.ari.hangUp(id);
  await lab.ended(1);
});

test('a second bridge takes the app without asking: the first lets go, touches nothing, and comes back when the second has stopped', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  first.ari.before(/^POST \/events\/user\/handover-/, () => 404);
  const { channel, session } = await first.call({ variables: { X_CALLBACK_URL: 'http://127.0.0.1:9/' } });
  const config = { ...FAST, ARI_URL: `http://127.0.0.1:${first.ari.port}` };
  const second = await Lab.start(t, { config });
  assert.equal((await first.ended()).reason.kind, 'taken-over');
  assert.equal((await first.ended()).by, 'bridge');
  await until(() => session.closed !== undefined, 'its bot is let go');
  assert.equal(session.of('hangup')[0]?.reason, 'taken-over');
  const adopted = await second.session();
  await until(() => adopted.of('answered').length > 0, 'adopted');
  // Whatever the first one would have done late would be done by now.
  await delay(700);
  adopted.speak(speech(3, 7));
  const rtp = first.ari.mediaOf(channel.id);
  await until(() => rtp.speech().includes(speech(3, 7)), 'the caller hears the second bot');
  assert.deepEqual(
    channel.done.filter((what) => what !== 'ring'),
    ['answer'],
  );
  assert.equal((await first.get('/readyz')).status, 503);
  assert.match((await first.get('/readyz')).body, /another process has taken over/);
  assert.equal(await first.metric('ari_up'), 0);
  assert.deepEqual(
    [await takeovers(first), await takeovers(second)],
    [
      [1, 0],
      [0, 0],
    ],
  );
  assert.equal((await second.get('/readyz')).status, 200);
  assert.equal(first.ari.takeovers, 2);
  assert.equal(first.logged('callback given up').length, 0);
  first.ari.hangUp(channel.id);
  assert.equal((await second.ended()).reason.kind, 'caller-hangup');
  await second.stop();
  await reconnected(first);
  assert.deepEqual(await takeovers(first), [1, 1]);
  const { channel: next } = await first.call();
  first.ari.hangUp(next.id);
  await first.ended(1);
});

for (const step of ['set-up', 'call'] as const) {
  test(`a goodbye of the ${step} that another bridge cuts short: it has the caller, and sends the callback`, async (t) => {
    const receiver = await FakeReceiver.start('secret');
    t.after(() => receiver.close());
    const config = { ...FAST, CALLBACK_HOSTS: '127.0.0.1' };
    const first = await Lab.start(t, { config });
    first.ari.before(/^POST \/events\/user\/handover-/, () => 404);
    const answers = Promise.withResolvers<undefined>();
    if (step === 'set-up') first.ari.before(/POST .*\/answer$/, () => answers.promise);
    const channel = first.ari.inbound({ variables: { X_CALLBACK_URL: receiver.url } });
    const session = await first.session();
    if (step === 'call') await until(() => session.of('answered').length > 0, 'answered');
    session.speak(speech(250));
    session.send({ event: 'hangup' });
    await delay(200);
    answers.resolve(undefined);
    await until(() => first.ari.mediaOf(channel.id).speech().length > 1600, 'the goodbye is played');
    const second = await Lab.start(t, {
      config: { ...config, ARI_URL: `http://127.0.0.1:${first.ari.port}` },
    });
    assert.equal((await first.ended()).reason.kind, 'taken-over');
    const adopted = await second.session();
    await until(() => adopted.of('answered').length > 0, 'adopted');
    first.ari.hangUp(channel.id);
    await second.ended();
    await until(() => receiver.callbacks.length > 0, 'a callback');
    assert.equal(receiver.callbacks.length, 1);
    await second.stop();
  });
}

test('a holder that died renews its claim no more: the app is taken back, and its callers adopted', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const other = await takeApp(lab.ari, t);
  let beat = 0;
  const renew = () => {
    beat += 1;
    lab.ari.globals.variables.set(CLAIM, formatClaim({ instance: 'other', beat, everyMs: 100 }));
  };
  renew();
  const renewing = setInterval(renew, 100);
  t.after(() => clearInterval(renewing));
  await until(() => lab.logged('the Stasis app was taken over by another process').length > 0, 'let go');
  const caller = lab.ari.inbound({ variables: { X_CALL_ID: 'of-the-other' } });
  await delay(1_500);
  assert.equal(lab.logged('ARI connected').length, 1, 'it does not fight');
  assert.equal(lab.bot.attempts, 0);
  clearInterval(renewing);
  other.terminate();
  await reconnected(lab);
  assert.equal((await lab.session()).query.get('call_id'), 'of-the-other');
  lab.ari.hangUp(caller.id);
  await lab.ended();
});

test('a bridge that lost its socket while another one took the app does not take it back', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { channel } = await lab.call();
  let beat = 0;
  const renew = () => {
    beat += 1;
    lab.ari.globals.variables.set(CLAIM, formatClaim({ instance: 'other', beat, everyMs: 100 }));
  };
  lab.ari.dropEvents();
  await takeApp(lab.ari, t);
  renew();
  const renewing = setInterval(renew, 100);
  t.after(() => clearInterval(renewing));
  assert.equal((await lab.ended()).reason.kind, 'taken-over');
  await delay(500);
  assert.deepEqual(await takeovers(lab), [1, 0]);
  assert.equal(lab.ari.takeovers, 2);
  assert.deepEqual([...lab.ari.bridges.keys()].length, 1, 'what the other has is not touched');
  assert.equal(lab.ari.channels.has(channel.id), true);
  // It has gone, and left the call to us.
  clearInterval(renewing);
  await reconnected(lab);
  lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('a stranger who takes the app again and again is not fought in a tight loop', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { channel } = await lab.call();
  const ended = new AbortController();
  t.after(() => ended.abort());
  const fight = async () => {
    while (!ended.signal.aborted) {
      const socket = await takeApp(lab.ari, t).catch(() => undefined);
      await new Promise((resolve) => {
        socket?.on('message', (data) => String(data).includes('ApplicationReplaced') && resolve(undefined));
        socket?.once('close', resolve);
        ended.signal.addEventListener('abort', resolve);
      });
      socket?.terminate();
    }
  };
  const fought = fight();
  assert.equal((await lab.ended()).reason.kind, 'taken-over');
  const { takeovers } = lab.ari;
  assert.ok(takeovers <= 9, `${takeovers} times`);
  await delay(1_500);
  assert.equal(lab.ari.takeovers, takeovers);
  assert.equal(lab.ari.channels.has(channel.id), true);
  ended.abort();
  await fought;
  await lab.stop();
  lab.ari.bridges.clear();
  for (const id of lab.ari.channels.keys()) lab.ari.hangUp(id);
});

test('what a call asks of Asterisk while it is not known whose the app is, waits', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const { channel, session } = await lab.call();
  const late = await takeApp(lab.ari, t);
  lab.ari.globals.variables.set(CLAIM, formatClaim({ instance: 'other', beat: 1, everyMs: 100 }));
  session.send({ event: 'hangup', immediate: true });
  await until(() => lab.logged('the Stasis app was taken over by another process').length > 0, 'let go');
  await lab.ended();
  assert.equal(lab.ari.channels.has(channel.id), true, 'the caller is the other one’s');
  late.terminate();
  await reconnected(lab);
  lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('to an Asterisk that stands still no handshake is sent: it would be served late, and take the app', async (t) => {
  const lines: string[] = [];
  const still = createServer((socket) => {
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.once('data', (data) => lines.push(String(data).split('\r\n')[0] ?? ''));
  });
  still.listen(0, '127.0.0.1');
  await new Promise((resolve) => still.once('listening', resolve));
  t.after(() => still.close());
  const { port } = still.address() as { port: number };
  const config = { ARI_URL: `http://127.0.0.1:${port}`, ARI_TIMEOUT_MS: '300' };
  await Lab.start(t, { noWait: true, config });
  await until(() => lines.length >= 3, 'three tries');
  assert.deepEqual(
    lines.filter((line) => line.includes('/ari/events')),
    [],
  );
});

test('when Asterisk is back after many tries it is found within a second, and the pauses begin anew', async (t) => {
  const gone = await FakeAri.start();
  const { port } = gone;
  await gone.close();
  const lab = await Lab.start(t, {
    noWait: true,
    config: { ...FAST, ARI_URL: `http://127.0.0.1:${port}` },
  });
  await delay(3_000);
  const back = await FakeAri.start(port);
  t.after(() => back.close());
  const startMs = performance.now();
  await reconnected(lab, 1);
  assert.ok(performance.now() - startMs < 1_500);
  const againMs = performance.now();
  back.dropEvents();
  await reconnected(lab, 2);
  assert.ok(performance.now() - againMs < 1_000, 'the first pause again');
});

test('an event that cannot be read is one that is lost: the comparison makes it good', async (t) => {
  const lab = await Lab.start(t);
  const channel = lab.ari.add({ inStasis: true });
  lab.ari.emitText('{"type":"StasisStart"}');
  const session = await lab.session();
  assert.equal(session.events[0]?.channel_id, channel.id);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('somebody’s dial that rings when another bridge takes the app ends here as taken over, without a callback', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'takeover-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const receiver = await FakeReceiver.start('secret');
  t.after(() => receiver.close());
  const first = await Lab.start(t, { config: { ...FAST, API_TOKEN, RECORDS_DIR: directory } });
  const channel = first.ari.originate({ variables: { X_CALLBACK_URL: receiver.url } });
  const record = async () =>
    (await api(first, 'GET', `/calls/${channel.id}`)).body as Record<string, unknown>;
  await until(async () => (await record()).state === 'ringing', 'it rings');
  await Lab.start(t, { config: { ...FAST, ARI_URL: `http://127.0.0.1:${first.ari.port}` } });
  await until(async () => (await record()).state === 'closed', 'let go');
  assert.equal((await record()).endReason, 'taken-over');
  assert.deepEqual(channel.done, []);
  assert.equal(receiver.callbacks.length, 0);
  first.ari.hangUp(channel.id);
});
