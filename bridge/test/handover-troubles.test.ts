/** Slow on purpose: `make test` runs it, `make check` does not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { API_TOKEN, api } from './api-client.ts';
import { AUTHORIZATION, askInVain, openBots, takeByForce } from './app-takers.ts';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

/** Fast where the product waits by design. */
const FAST = { ARI_HEARTBEAT_MS: '100', RECONCILE_MS: '200' };

/** A second process of the bridge on the first one's Asterisk. */
async function successor(t: TestContext, first: Lab, config: Record<string, string> = FAST): Promise<Lab> {
  const url = `http://127.0.0.1:${first.ari.port}`;
  return await Lab.start(t, { noWait: true, config: { ...config, ARI_URL: url } });
}

test('a move that Asterisk does not answer costs no call its bot', async (t) => {
  const config = { ...FAST, ARI_TIMEOUT_MS: '1000' };
  const first = await Lab.start(t, { config });
  const { channel } = await first.call();
  const { channel: other } = await first.call();
  first.ari.before(new RegExp(`^POST /channels/${other.id}/move$`), () => 'never');
  const second = await successor(t, first, config);
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  await delay(1_500);
  assert.equal(openBots(first, second), 2);
  for (const { id } of [channel, other]) first.ari.hangUp(id);
});

test('two successors at once, and slow moves: each caller keeps one bot', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  const channels = [(await first.call()).channel, (await first.call()).channel];
  first.ari.before(new RegExp(`^POST /channels/${channels[1]?.id}/move$`), async () => {
    await delay(1_200);
    return undefined;
  });
  const others = await Promise.all([successor(t, first), successor(t, first)]);
  await until(() => others.every((lab) => lab.logged('ARI connected').length > 0), 'both had the app');
  await delay(500);
  assert.equal(openBots(first, ...others), 2);
  assert.equal(first.logged('call ended').length, 0);
  for (const { id } of channels) first.ari.hangUp(id);
});

test('a successor that asks and does not come: calls and orders are taken again, and the gate works', async (t) => {
  const PROVIDERS_DIR = providersDirectory(
    t,
    'COUNTRY_CODE=49\nNUMBER_FORMAT=national\nCALLER_ID=+4930111\n',
  );
  const lab = await Lab.start(t, { config: { ...FAST, MAX_CALLS: '1', API_TOKEN, PROVIDERS_DIR } });
  const { channel } = await lab.call();
  await askInVain(lab);
  const gate = () => lab.ari.globals.variables.get('PIPECAT_GATE_pipecat') ?? '';
  await until(() => /^\d/.test(gate()), 'the gate is closed at MAX_CALLS');
  assert.match((await lab.get('/readyz')).body, /MAX_CALLS is reached/);
  lab.ari.hangUp(channel.id);
  await lab.ended();
  const order = { to: '+4930777777', provider: 'pb_fintech' };
  const { status, body } = await api(lab, 'POST', '/calls', order);
  assert.equal(status, 202);
  lab.ari.hangUp(body.channelId);
});

test('a successor whose events socket is cut again and again leaves its predecessor’s call alone', async (t) => {
  const first = await Lab.start(t);
  const { channel, session } = await first.call();
  const second = await successor(t, first, {});
  await until(() => first.logged('handed over to a new process')[0], 'handed over');
  for (let cuts = 1; cuts <= 5; cuts++) {
    await until(() => second.logged('ARI connected').length >= cuts, 'connected');
    first.ari.dropEvents();
  }
  await delay(700);
  assert.equal(session.closed, undefined);
  assert.equal(second.bot.attempts, 0);
  first.ari.hangUp(channel.id);
});

test('Asterisk stands still for a while: a predecessor that lives keeps its call', async (t) => {
  const first = await Lab.start(t);
  const { channel, session } = await first.call();
  let thaw: Promise<void> | undefined;
  first.ari.before(/./, async () => {
    await thaw;
    return undefined;
  });
  const second = await successor(t, first, {});
  await until(() => first.logged('handed over to a new process')[0], 'handed over');
  await delay(1_000);
  thaw = delay(3_600);
  await thaw;
  thaw = undefined;
  await delay(2_500);
  assert.equal(session.closed, undefined);
  assert.equal(second.bot.attempts, 0);
  first.ari.hangUp(channel.id);
});

test('a caller of the last moment whose move is slow has one bot', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  let late = '';
  first.ari.after(/^POST \/asterisk\/variable$/, ({ query }) => {
    if (query.get('value') === 'ready' && late === '') late = first.ari.inbound().id;
  });
  first.ari.before(/^POST \/channels\/.*\/move$/, async () => {
    await delay(1_800);
    return undefined;
  });
  const second = await successor(t, first);
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  await delay(500);
  assert.equal(first.bot.attempts + second.bot.attempts, 1);
  assert.equal(first.ari.channels.get(late)?.continued, false);
  first.ari.hangUp(late);
});

test('an app of somebody else that is called like one of ours is left alone', async (t) => {
  const lab = await Lab.start(t, { config: FAST });
  const url = `ws://127.0.0.1:${lab.ari.port}/events?app=pipecat-20261127`;
  const socket = new WebSocket(url, { headers: { authorization: AUTHORIZATION } });
  t.after(() => socket.close());
  await new Promise((resolve) => socket.once('open', resolve));
  const channel = lab.ari.add({ state: 'Up' });
  lab.ari.apps.move(channel.id, 'pipecat-20261127');
  lab.ari.enterStasis(channel);
  await delay(1_000);
  assert.equal(lab.ari.apps.appOf(channel.id), 'pipecat-20261127');
  lab.ari.hangUp(channel.id);
});

test('the app is taken without asking after a handover and a return: the call of before keeps its bot', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  const { channel, session } = await first.call();
  const second = await successor(t, first);
  await until(() => first.logged('handed over to a new process')[0], 'handed over');
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  await second.stop();
  await until(() => first.logged('new calls come here again')[0], 'back');
  await takeByForce(t, first);
  await delay(1_500);
  assert.equal(session.closed, undefined);
  assert.equal(first.logged('call ended').length, 0);
  first.ari.hangUp(channel.id);
  assert.equal((await first.ended()).reason.kind, 'caller-hangup');
});

test('a call that was handed over and ended without an event counts no more when the app is taken', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  const { channel } = await first.call();
  const second = await successor(t, first);
  await until(() => first.logged('handed over to a new process')[0], 'handed over');
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  // Asterisk has nothing of it any more, and no event told so.
  for (const id of [channel.id, first.ari.mediaIdOf(channel.id)]) {
    await first.ari.channels.get(id)?.rtp?.close();
    first.ari.channels.delete(id);
  }
  await first.ended();
  await second.stop();
  await until(() => first.logged('new calls come here again')[0], 'back');
  const isCompared = first.ari.requests.length;
  await until(
    () =>
      first.ari
        .log()
        .slice(isCompared)
        .filter((line) => line === 'GET /bridges').length > 2,
    '2 comparisons',
  );
  await takeByForce(t, first);
  await until(() => first.logged('the Stasis app was taken over by another process')[0], 'taken');
  await delay(300);
  assert.equal(first.logged('handed over to a new process').length, 1, 'it has nothing to keep');
});

test('handovers leave no variable in Asterisk but the claim of the app', async (t) => {
  const first = await Lab.start(t, { config: FAST });
  const { channel } = await first.call();
  const second = await successor(t, first);
  await until(() => second.logged('ARI connected')[0], 'the second has the app');
  const { variables } = first.ari.globals;
  const left = () => [...variables.keys()].filter((name) => name.startsWith('PIPECAT_BRIDGE_')).sort();
  const ownClaim = `PIPECAT_BRIDGE_${first.ari.apps.appOf(channel.id)}`;
  await until(() => left().join() === ['PIPECAT_BRIDGE_pipecat', ownClaim].join(), 'the answers are removed');
  first.ari.hangUp(channel.id);
  await first.ended();
  await first.stop();
  await until(() => left().join() === 'PIPECAT_BRIDGE_pipecat', 'the claim of the first is removed');
});
