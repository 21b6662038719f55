import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

const TO = '+493012345678';
/** A comparison comes this often. */
const RECONCILE_MS = 250;

async function start(t: TestContext, method = 'auto', config: Record<string, string> = {}): Promise<Lab> {
  const provider = `COUNTRY_CODE=49\nALLOWED_PREFIXES=+49\nTRANSFER_METHOD=${method}\n`;
  const directory = providersDirectory(t, provider);
  const soon = { RECONCILE_MS: String(RECONCILE_MS), TRANSFER_RING_S: '60', API_TOKEN };
  return Lab.start(t, { config: { PROVIDERS_DIR: directory, ...soon, ...config } });
}

/** What happens meanwhile nobody hears of. */
function unheard(lab: Lab, happens: () => void): void {
  const { emit } = lab.ari;
  lab.ari.emit = () => {};
  happens();
  lab.ari.emit = emit;
}

async function secondLeg(lab: Lab, of: FakeChannel): Promise<FakeChannel> {
  return await until(() => {
    const leg = lab.ari.channels.get(lab.ari.ownOf(of.id, 'pct')[0] ?? '');
    return leg?.done.includes('dial') && leg;
  }, 'the second leg is dialled');
}

test('the answer of a second leg that nobody told us of', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const leg = await secondLeg(lab, channel);
  unheard(lab, () => lab.ari.picksUp(leg));
  await until(() => session.closed !== undefined, 'the bot is let go');
  await until(() => lab.ari.membersOf(channel.id)?.has(leg.id), 'the two talk');
  lab.ari.hangUp(leg.id);
  assert.equal((await lab.ended()).reason.kind, 'transferred');
});

test('the end of a second leg that nobody told us of', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const leg = await secondLeg(lab, channel);
  lab.ari.picksUp(leg);
  await until(() => lab.ari.membersOf(channel.id)?.has(leg.id), 'the two talk');
  unheard(lab, () => lab.ari.hangUp(leg.id));
  assert.equal((await lab.ended()).reason.kind, 'transferred');
  assert.equal(lab.ari.channels.has(channel.id), false);
});

test('the answer of a callee of ours that nobody told us of', async (t) => {
  const lab = await start(t);
  const order = { to: TO, provider: 'pb_fintech', callId: 'c-1', ringTimeoutSeconds: 60 };
  assert.equal((await api(lab, 'POST', '/calls', order)).status, 202);
  const channel = await until(
    () => [...lab.ari.channels.values()].find(({ done }) => done.includes('dial')),
    'it is dialled',
  );
  unheard(lab, () => lab.ari.picksUp(channel));
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'answered');
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

test('the answer of somebody else’s call that nobody told us of', async (t) => {
  const lab = await start(t);
  const channel = lab.ari.originate({ args: ['order-1'] });
  unheard(lab, () => lab.ari.answered(channel));
  const session = await lab.session();
  assert.equal(session.query.get('call_id'), 'order-1');
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('the return from a REFER that nobody told us of', async (t) => {
  const lab = await start(t);
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  await until(() => channel.sentTo === 'transfer,refer', 'the caller is in the dialplan');
  const token = channel.variables.TRANSFER_TOKEN ?? '';
  Object.assign(channel, { args: ['refer-result', 'FAILURE', '486', token] });
  unheard(lab, () => lab.ari.enterStasis(channel));
  await until(() => session.of('transfer').some(({ status }) => status === 'failed'), 'it has failed');
  await until(() => lab.ari.membersOf(channel.id)?.size === 2, 'caller and bot are together');
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

test('a caller who does not come back from a REFER is waited for no longer than there is a limit', async (t) => {
  const lab = await start(t, 'auto', { TRANSFER_RING_S: '1', ARI_TIMEOUT_MS: '300' });
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  await until(() => channel.sentTo === 'transfer,refer', 'the caller is in the dialplan');
  assert.equal((await lab.ended()).reason.kind, 'media-failed');
  assert.equal(lab.ari.channels.has(channel.id), true, 'they are the dialplan’s');
  lab.ari.hangUp(channel.id);
});

test('a caller on the way to the fallback is neither given back twice nor hung up', async (t) => {
  const lab = await start(t, 'auto', { MAX_CALLS: '1' });
  const { channel } = await lab.call();
  const arrived = Promise.withResolvers<undefined>();
  lab.ari.before(/variable$/, () => arrived.promise);
  const refused = lab.ari.inbound();
  await delay(3 * RECONCILE_MS);
  arrived.resolve(undefined);
  await until(() => refused.continued, 'they go on');
  await delay(2 * RECONCILE_MS);
  const asked = lab.ari.log().filter((line) => line.includes(`/channels/${refused.id}`));
  assert.equal(asked.filter((line) => line.endsWith('/continue')).length, 1);
  assert.equal(asked.filter((line) => line.startsWith('DELETE')).length, 0);
  assert.equal(lab.logged('call not taken').length, 1);
  lab.ari.hangUp(refused.id);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a channel that outlives its hang-up is hung up again, and never taken for a new caller', async (t) => {
  const lab = await start(t);
  const { channel, session } = await lab.call();
  let swallowed = 2;
  lab.ari.before(new RegExp(`^DELETE /channels/${channel.id}$`), () => (swallowed-- > 0 ? 204 : undefined));
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
  await until(() => !lab.ari.channels.has(channel.id), 'it is hung up in the end');
  assert.equal(lab.logged('call started').length, 1);
  assert.equal(lab.bot.attempts, 1);
});

test('a hang-up that got no reply is carried out later: the call is not taken up, its record stays', async (t) => {
  const lab = await start(t, 'auto', { ARI_TIMEOUT_MS: '200' });
  const { channel, session } = await lab.call();
  // A second attempt that comes at once meets the same stall.
  let lost = 3;
  lab.ari.before(new RegExp(`^DELETE /channels/${channel.id}$`), () => (lost-- > 0 ? 'never' : undefined));
  session.send({ event: 'hangup', immediate: true });
  assert.equal((await lab.ended()).reason.kind, 'bot-hangup-immediate');
  await until(() => !lab.ari.channels.has(channel.id), 'it is hung up in the end');
  await delay(2 * RECONCILE_MS);
  assert.equal(lab.logged('call started').length, 1);
  assert.equal(lab.logged('call record').length, 1);
});

test('keys are played few at a time, and dropped with the call', async (t) => {
  const lab = await start(t);
  const { channel, session } = await lab.call();
  session.send({ event: 'dtmf', digits: `123456${'w'.repeat(100)}7` });
  await until(() => channel.done.includes('dtmf 6'), 'the second part');
  assert.deepEqual(
    channel.done.filter((done) => done.startsWith('dtmf')),
    ['dtmf 12345', 'dtmf 6'],
  );
  const fromMs = performance.now();
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.ok(performance.now() - fromMs < 5_000);
  assert.ok(!channel.done.includes('dtmf 7'));
});

test('when Asterisk has started anew its calls are lost by it, not hung up by their callers', async (t) => {
  const lab = await start(t);
  const { channel } = await lab.call();
  await until(() => lab.ari.log().includes('GET /asterisk/info'), 'a comparison');
  lab.ari.globals.startedAt = '2026-11-22T11:00:00.000+0000';
  unheard(lab, () => lab.ari.hangUp(channel.id));
  const ended = await lab.ended();
  assert.equal(ended.reason.kind, 'asterisk-lost');
  assert.equal(ended.by, 'bridge');
});

test('a caller who leaves our app and enters it again in one turn is taken at once', async (t) => {
  const lab = await start(t, 'auto', { RECONCILE_MS: '60000' });
  const { channel } = await lab.call();
  const uncork = lab.ari.corked();
  lab.ari.emit('StasisEnd', { channel: lab.ari.show(channel) });
  lab.ari.emit('StasisStart', { channel: lab.ari.show(channel), args: [] });
  uncork();
  await lab.session(1);
  assert.equal(lab.logged('call ended').length, 1);
  lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('what is told late of a call that we have cancelled makes no second record', async (t) => {
  const lab = await start(t);
  const order = { to: TO, provider: 'pb_fintech', callId: 'c-1', ringTimeoutSeconds: 60 };
  await api(lab, 'POST', '/calls', order);
  const channel = await until(
    () => [...lab.ari.channels.values()].find(({ done }) => done.includes('dial')),
    'it is dialled',
  );
  await api(lab, 'DELETE', '/calls/c-1');
  await lab.ended();
  lab.ari.tellDial(channel, 'RINGING');
  lab.ari.tellDial(channel, 'CANCEL');
  lab.ari.emit('ChannelDestroyed', { channel: { ...lab.ari.show(channel), state: 'Down' }, cause: 16 });
  await delay(2 * RECONCILE_MS);
  assert.equal(lab.logged('call record').length, 1);
  assert.equal(lab.logged('dial failed').length, 0);
});

test('one channel that Asterisk cannot show is hung up, and keeps nobody from being served', async (t) => {
  const lab = await start(t);
  const { channel, session } = await lab.call();
  const bad = lab.ari.add({ state: 'Ring', inStasis: true });
  const isThere = () => (lab.ari.channels.has(bad.id) ? 500 : undefined);
  lab.ari.before(/^GET \/channels$/, isThere);
  lab.ari.before(new RegExp(`^GET /channels/${bad.id}$`), isThere);
  lab.ari.dropEvents();
  await until(() => !lab.ari.channels.has(bad.id), 'the bad one is hung up');
  await until(async () => (await lab.get('/readyz')).status === 200, 'ready');
  assert.equal(session.closed, undefined);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a newcomer of the same provider takes the caller’s place: same bot, same call, one record', async (t) => {
  const lab = await start(t);
  const { channel, session } = await lab.call();
  const newcomer = lab.ari.add({ state: 'Up', inStasis: true });
  const swapped = lab.ari.show(channel);
  lab.ari.emit('StasisStart', { channel: lab.ari.show(newcomer), args: [], replace_channel: swapped });
  await until(() => !lab.ari.channels.has(channel.id), 'the old leg is hung up');
  await until(() => lab.ari.membersOf(channel.id)?.has(newcomer.id), 'the newcomer talks to the bot');
  await delay(2 * RECONCILE_MS);
  assert.deepEqual([lab.bot.attempts, session.closed], [1, undefined]);
  lab.ari.hangUp(newcomer.id);
  await lab.ended();
  assert.deepEqual([lab.logged('call started').length, lab.logged('call record').length], [1, 1]);
});

test('a newcomer of another provider does not take the caller’s place', async (t) => {
  const lab = await start(t);
  const { channel, session } = await lab.call();
  const stranger = lab.ari.add({ state: 'Up', inStasis: true, name: 'PJSIP/other-00000001' });
  const swapped = lab.ari.show(channel);
  lab.ari.membersOf(channel.id);
  lab.ari.emit('StasisStart', { channel: lab.ari.show(stranger), args: [], replace_channel: swapped });
  await until(() => !lab.ari.channels.has(stranger.id), 'they are hung up');
  assert.ok(lab.ari.membersOf(channel.id)?.has(channel.id));
  assert.deepEqual([lab.bot.attempts, session.closed], [1, undefined]);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a callee whose end was not told counts as failed, not as one who did not answer, but at the end of the ring time', async (t) => {
  const lab = await start(t);
  const dialled = async (callId: string, ringTimeoutSeconds: number) => {
    await api(lab, 'POST', '/calls', { to: TO, provider: 'pb_fintech', callId, ringTimeoutSeconds });
    return await until(
      () => [...lab.ari.channels.values()].find(({ done }) => done.includes('dial')),
      'it is dialled',
    );
  };
  const busy = await dialled('c-1', 60);
  unheard(lab, () => lab.ari.dialFails(busy, 'BUSY', 17, 486));
  const { reason, outcome, cause } = await lab.ended();
  assert.deepEqual([reason.kind, outcome, cause], ['not-answered', 'failed', 127]);
  const silent = await dialled('c-2', 1);
  await delay(1_000);
  unheard(lab, () => lab.ari.dialFails(silent, 'NOANSWER', 19));
  assert.equal((await lab.ended(1)).outcome, 'no-answer');
});

test('a caller who hangs up in the set-up, and nobody tells of it, has hung up: the set-up has not failed', async (t) => {
  const lab = await start(t, 'auto', { RECONCILE_MS: '60000' });
  const accepted = Promise.withResolvers<'accept'>();
  lab.bot.decide = () => accepted.promise;
  const channel = lab.ari.inbound();
  await until(() => lab.ari.membersOf(channel.id)?.size === 1, 'the media channel is there');
  unheard(lab, () => lab.ari.hangUp(channel.id));
  accepted.resolve('accept');
  const ended = await lab.ended();
  assert.deepEqual([ended.reason.kind, ended.by], ['caller-hangup', 'caller']);
});
