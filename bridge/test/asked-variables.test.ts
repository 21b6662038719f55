import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';

const VARIABLE = /^GET \/channels\/[^/]+\/variable$/;

/**
 * Without `channelvars` in ari.conf the bridge asks for the variables of each channel. The replies
 * come when `replied` is called.
 */
async function start(t: TestContext): Promise<{ lab: Lab; replied: () => void; asked: () => Promise<void> }> {
  const lab = await Lab.start(t, { config: { API_TOKEN, RECONCILE_MS: '250' } });
  lab.ari.showsVariables = false;
  const replies = Promise.withResolvers<undefined>();
  let isAsked = false;
  lab.ari.before(VARIABLE, () => {
    isAsked = true;
    return replies.promise;
  });
  return {
    lab,
    replied: () => replies.resolve(undefined),
    asked: () => until(() => isAsked, 'they are asked for') as Promise<unknown> as Promise<void>,
  };
}

/** The reason in the record of a call that has ended. */
async function endOf(lab: Lab, { id }: FakeChannel): Promise<unknown> {
  const record = await until(async () => {
    const { body } = await api(lab, 'GET', `/calls/${id}`);
    return (body as { state?: string }).state === 'closed' && body;
  }, 'its record has an end');
  return (record as { endReason?: unknown }).endReason;
}

test('a callee of somebody else who hangs up while their variables are read: the record ends', async (t) => {
  const { lab, replied, asked } = await start(t);
  const channel = lab.ari.originate();
  lab.ari.answered(channel);
  await asked();
  lab.ari.hangUp(channel.id);
  assert.equal(await endOf(lab, channel), 'caller-hangup');
  replied();
  await delay(600);
  assert.equal(lab.logged('call record').length, 1);
  assert.equal(lab.bot.attempts, 0);
});

test('a caller who hangs up while their variables are read leaves a record too', async (t) => {
  const { lab, replied, asked } = await start(t);
  const channel = lab.ari.inbound();
  await asked();
  lab.ari.hangUp(channel.id);
  assert.equal(await endOf(lab, channel), 'caller-hangup');
  replied();
  await delay(600);
  assert.equal(lab.logged('call record').length, 1);
});

test('one who leaves unheard while their variables are read is found gone', async (t) => {
  const { lab, replied, asked } = await start(t);
  const channel = lab.ari.originate();
  lab.ari.answered(channel);
  await asked();
  const { emit } = lab.ari;
  lab.ari.emit = () => {};
  lab.ari.hangUp(channel.id);
  lab.ari.emit = emit;
  replied();
  await endOf(lab, channel);
  await delay(600);
  assert.equal(lab.logged('call record').length, 1);
});

test('where Asterisk does not tell the variables the caller is given back, a callee hung up, and both have a record', async (t) => {
  const lab = await Lab.start(t, { config: { API_TOKEN } });
  lab.ari.showsVariables = false;
  lab.ari.before(VARIABLE, () => 500);
  const caller = lab.ari.inbound();
  const callee = lab.ari.originate();
  lab.ari.answered(callee);
  await until(() => caller.continued, 'the caller goes on in the dialplan');
  assert.equal(caller.variables.PIPECAT_STATUS, 'setup-failed');
  await until(() => !lab.ari.channels.has(callee.id), 'the callee is hung up');
  assert.equal(await endOf(lab, caller), 'setup-failed');
  assert.equal(await endOf(lab, callee), 'setup-failed');
  assert.equal(lab.logged('call record').length, 2);
  assert.equal(lab.bot.attempts, 0);
});

test('a dial that is answered when another process takes the app without asking ends here as taken over', async (t) => {
  const { lab, asked, replied } = await start(t);
  lab.ari.before(/^POST \/events\/user\/handover-/, () => 404);
  const channel = lab.ari.originate();
  lab.ari.answered(channel);
  await asked();
  const config = { ARI_URL: `http://127.0.0.1:${lab.ari.port}` };
  const second = await Lab.start(t, { config });
  assert.equal(await endOf(lab, channel), 'taken-over');
  replied();
  await second.session();
  lab.ari.hangUp(channel.id);
  await second.ended();
});
