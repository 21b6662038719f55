/** Transfers that Asterisk's dialplan makes: REFER, and the operator's own contexts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api } from './api-client.ts';
import type { FakeChannel } from './fake-channel.ts';
import { type Lab, until } from './harness.ts';
import { assertTalking, failed, hangUpAndEnd, leg, start, TO, told } from './transfer-lab.ts';

test('REFER: the network takes the caller, who is hung up here then', async (t) => {
  const lab = await start(t, 'auto');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: '030 999000' });
  await until(() => channel.sentTo === 'transfer,refer', 'the caller is in the dialplan');
  assert.equal(channel.variables.TRANSFER_TO, TO);
  assert.equal(channel.variables.TRANSFER_SECONDS, '5');
  comeBack(lab, channel, 'SUCCESS', '0');
  const ended = await lab.ended();
  assert.deepEqual(ended.reason, { kind: 'transferred', by: 'bot' });
  assert.deepEqual(told(session), ['started', 'completed']);
  assert.equal(session.of('hangup')[0]?.reason, 'transferred');
  assert.equal(lab.ari.channels.size, 0);
});

/** The dialplan gives the caller back, as its `transfer` context does. */
function comeBack(lab: Lab, channel: FakeChannel, ...result: string[]): void {
  Object.assign(channel, { args: ['refer-result', ...result] });
  lab.ari.enterStasis(channel);
}

test('REFER: the callee is busy, and the caller comes back to the bot', async (t) => {
  const lab = await start(t, 'auto');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  await until(() => channel.sentTo !== undefined, 'the caller is in the dialplan');
  comeBack(lab, channel, 'FAILURE', '486');
  await failed(session, 'busy');
  await assertTalking(lab, channel, session);
  await hangUpAndEnd(lab, channel);
});

test('REFER that the network does not take: with auto a second leg is called, with refer it fails', async (t) => {
  for (const method of ['auto', 'refer']) {
    await t.test(method, async (t) => {
      const lab = await start(t, method);
      const { channel, session } = await lab.call();
      session.send({ event: 'transfer', to: TO });
      await until(() => channel.sentTo !== undefined, 'the caller is in the dialplan');
      comeBack(lab, channel, 'FAILURE', '405');
      if (method === 'auto') lab.ari.dialFails(await leg(lab, channel), 'BUSY', 17, 486);
      await failed(session, method === 'auto' ? 'busy' : 'rejected');
      await assertTalking(lab, channel, session);
      await hangUpAndEnd(lab, channel);
    });
  }
});

test('REFER: the caller hangs up meanwhile', async (t) => {
  const lab = await start(t, 'refer');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  await until(() => channel.sentTo !== undefined, 'the caller is in the dialplan');
  await hangUpAndEnd(lab, channel);
});

test('mode dialplan: the caller is sent to an allowed context, and the call ends as transferred', async (t) => {
  const lab = await start(t, 'auto', { TRANSFER_CONTEXTS: 'other, human' });
  const { channel, session } = await lab.call({
    variables: { 'DIALPLAN_EXISTS(human,reception,1)': '1' },
  });
  session.send({ event: 'transfer', to: 'reception', mode: 'dialplan', context: 'human' });
  assert.deepEqual((await lab.ended()).reason, { kind: 'transferred', by: 'bot' });
  assert.equal(channel.sentTo, 'human,reception');
  assert.deepEqual(told(session), ['started', 'completed']);
  assert.equal(lab.ari.channels.has(channel.id), true, 'the caller is left alone');
  assert.equal(channel.variables.PIPECAT_STATUS, undefined);
});

test('mode dialplan: contexts and extensions that are not there or not allowed are refused', async (t) => {
  const lab = await start(t, 'auto', { TRANSFER_CONTEXTS: 'human' });
  const { channel, session } = await lab.call();
  const dialplan = (fields: object) => session.send({ event: 'transfer', mode: 'dialplan', ...fields });
  dialplan({ to: 'reception', context: 'from-provider' });
  await failed(session, 'context-not-allowed');
  dialplan({ to: 'a,b,1', context: 'human' });
  await failed(session, 'invalid-extension');
  dialplan({ to: 'nobody', context: 'human' });
  await failed(session, 'no-such-extension');
  assert.equal(channel.sentTo, undefined);
  await hangUpAndEnd(lab, channel);
});

for (const [method, held] of [
  ['dialplan', /GET .*\/variable$/],
  ['refer', /POST .*\/variable$/],
] as const) {
  test(`${method}: a caller whose call is ended while Asterisk is being asked is not sent away`, async (t) => {
    const lab = await start(t, 'refer', { TRANSFER_CONTEXTS: 'human', API_TOKEN });
    const { channel, session } = await lab.call({ variables: { 'DIALPLAN_EXISTS(human,reception,1)': '1' } });
    const replies = Promise.withResolvers<undefined>();
    let asked = 0;
    lab.ari.before(held, () => {
      asked += 1;
      return replies.promise;
    });
    session.send(
      method === 'refer'
        ? { event: 'transfer', to: TO }
        : { event: 'transfer', to: 'reception', mode: 'dialplan', context: 'human' },
    );
    await until(() => asked > 0, 'asked');
    await api(lab, 'DELETE', `/calls/${channel.id}`);
    await delay(200);
    replies.resolve(undefined);
    assert.equal((await lab.ended()).reason.kind, 'api-hangup');
    assert.equal(channel.sentTo, undefined);
  });
}

test('a caller who comes back while their call is being released is taken as soon as that is done', async (t) => {
  const lab = await start(t, 'auto', { TRANSFER_CONTEXTS: 'human' });
  lab.ari.before(/^DELETE .*pcm-/, async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return undefined;
  });
  const { channel, session } = await lab.call({ variables: { 'DIALPLAN_EXISTS(human,back,1)': '1' } });
  session.send({ event: 'transfer', to: 'back', mode: 'dialplan', context: 'human' });
  await until(() => channel.sentTo !== undefined, 'the caller is in the dialplan');
  lab.ari.enterStasis(channel);
  await lab.session(1);
  assert.equal(lab.logged('call ended').length, 1);
  lab.ari.hangUp(channel.id);
  await lab.ended(1);
});
