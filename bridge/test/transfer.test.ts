import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { API_TOKEN, api, listen } from './api-client.ts';
import { type Lab, speech, until } from './harness.ts';
import { assertTalking, failed, hangUpAndEnd, leg, members, start, TO, told } from './transfer-lab.ts';

test('a second leg that answers takes the place of the bot, which is let go; its hang-up ends the call', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  assert.deepEqual(told(session), ['started']);
  assert.equal(second.to, TO);
  assert.equal(second.variables['CONNECTEDLINE(num,i)'], channel.from);
  assert.deepEqual(members(lab, channel), [channel.id], 'the caller is alone with the ringing tone');
  assert.equal(channel.done.at(-1), 'ring');
  lab.ari.rings(second);
  lab.ari.picksUp(second);
  await until(() => session.closed !== undefined, 'the bot is let go');
  assert.deepEqual(told(session), ['started', 'completed']);
  assert.deepEqual(session.of('hangup')[0], {
    event: 'hangup',
    reason: 'transferred',
    cause: 16,
    causeText: 'Normal call clearing',
  });
  assert.deepEqual(members(lab, channel).sort(), [channel.id, second.id].sort());
  assert.equal(channel.done.at(-1), 'no ring');
  await until(() => !lab.ari.channels.has(lab.ari.mediaIdOf(channel.id)), 'the media channel goes');
  assert.equal(await lab.metric('calls_active'), 1);
  assert.equal(await lab.metric('rtp_ports_in_use'), 0);
  assert.equal(lab.logged('call ended').length, 0);
  lab.ari.hangUp(second.id);
  const ended = await lab.ended();
  assert.deepEqual(ended.reason, { kind: 'transferred', by: 'bot' });
  assert.equal(ended.by, 'bot');
  assert.equal(lab.ari.channels.size, 0);
});

test('the caller hangs up on the second leg: it is hung up too', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  lab.ari.picksUp(second);
  await until(() => session.closed !== undefined, 'the bot is let go');
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'transferred');
  assert.equal(lab.ari.channels.size, 0);
});

for (const { about, who } of [
  { about: 'the second leg', who: 'leg' },
  { about: 'the caller', who: 'caller' },
] as const) {
  test(`${about} hangs up while the media channel is slow to go: the other is hung up at once`, async (t) => {
    const lab = await start(t, 'bridge');
    const { channel, session } = await lab.call();
    session.send({ event: 'transfer', to: TO });
    const second = await leg(lab, channel);
    const goes = Promise.withResolvers<undefined>();
    lab.ari.before(/DELETE \/channels\/pcm-/, () => goes.promise);
    lab.ari.picksUp(second);
    await until(() => session.closed !== undefined, 'the bot is let go');
    const [first, other] = who === 'leg' ? [second, channel] : [channel, second];
    lab.ari.hangUp(first.id);
    const isGone = () => !lab.ari.channels.has(other.id);
    await until(isGone, 'the other is hung up').finally(() => goes.resolve(undefined));
    assert.equal((await lab.ended()).reason.kind, 'transferred');
  });
}

for (const { about, status, cause, sipStatus, reason } of [
  { about: 'is busy', status: 'BUSY', cause: 17, sipStatus: 486, reason: 'busy' },
  { about: 'declines', status: 'NOANSWER', cause: 21, sipStatus: 603, reason: 'rejected' },
  { about: 'does not exist', status: 'NOANSWER', cause: 1, sipStatus: 404, reason: 'invalid-number' },
  { about: 'does not answer in time', status: '', cause: 0, sipStatus: undefined, reason: 'no-answer' },
]) {
  test(`a second leg that ${about}: the caller comes back to the same bot, which learns why`, async (t) => {
    const lab = await start(t, 'bridge');
    const { channel, session } = await lab.call();
    session.send({ event: 'transfer', to: TO });
    const second = await leg(lab, channel);
    lab.ari.rings(second);
    lab.ari.dialFails(second, status, cause, sipStatus);
    await failed(session, reason);
    assert.equal(channel.done.at(-1), 'no ring');
    await assertTalking(lab, channel, session);
    // And once more: it may be tried again.
    assert.partialDeepStrictEqual(lab.logged('transfer failed'), [{ level: 40, mode: 'blind', reason }]);
    session.send({ event: 'transfer', to: TO });
    lab.ari.dialFails(await leg(lab, channel, 2), 'BUSY', 17, 486);
    await failed(session, 'busy');
    const counted = (why: string) => lab.metric(`transfers_total{status="failed",reason="${why}"}`);
    const both = async () => (await counted(reason)) + (reason === 'busy' ? 0 : await counted('busy')) === 2;
    await until(both, 'both counted');
    await hangUpAndEnd(lab, channel);
  });
}

test('the caller hangs up while the second leg rings: it is hung up, and nothing is left', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  lab.ari.rings(second);
  await hangUpAndEnd(lab, channel);
  assert.equal(lab.ari.channels.has(second.id), false);
  assert.deepEqual(told(session), ['started']);
});

test('the caller hangs up while the second leg is being made: it is removed once it is there', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  lab.ari.after(/channels\/create$/, async () => {
    lab.ari.hangUp(channel.id);
    await new Promise((resolve) => setTimeout(resolve, 50));
    return undefined;
  });
  session.send({ event: 'transfer', to: TO });
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  await until(() => lab.ari.channels.size === 0, 'the leg is gone');
});

test('an Asterisk that refuses the second leg: the bot learns it, and the caller has not noticed', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  lab.ari.before(/channels\/create$/, () => 500);
  session.send({ event: 'transfer', to: TO });
  await failed(session, 'failed');
  assert.equal(channel.done.at(-1), 'answer');
  await assertTalking(lab, channel, session);
  await hangUpAndEnd(lab, channel);
});

test('the last words are heard before the transfer begins, and a bot that leaves then does not stop it', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(20, 2));
  session.send({ event: 'transfer', to: TO });
  session.send({ event: 'hangup' });
  const second = await leg(lab, channel);
  assert.deepEqual(rtp.speech(), speech(20, 2));
  lab.ari.picksUp(second);
  await until(() => members(lab, channel).includes(second.id), 'the two talk');
  lab.ari.hangUp(second.id);
  assert.equal((await lab.ended()).reason.kind, 'transferred');
});

test('where the transfer fails and the bot has left meanwhile, the call ends as the bot wished', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  session.close(1000);
  await until(() => session.closed !== undefined, 'the bot is gone');
  lab.ari.dialFails(second, 'BUSY', 17, 486);
  assert.equal((await lab.ended()).reason.kind, 'bot-closed');
});

test('numbers that the provider may not be asked for are refused before anything is done', async (t) => {
  const lab = await start(t, 'auto');
  const { channel, session } = await lab.call();
  for (const [fields, reason] of [
    [{ to: '+1900123456' }, 'number-not-allowed'],
    [{ to: '+49900123456' }, 'number-not-allowed'],
    [{ to: 'sip:somebody@example.org' }, 'invalid-number'],
    [{ to: TO, provider: 'nobody' }, 'unknown-provider'],
  ] as const) {
    session.send({ event: 'transfer', ...fields });
    await failed(session, reason);
  }
  assert.equal(told(session).includes('started'), false);
  await hangUpAndEnd(lab, channel);
});

test('second legs count among the calls that the provider may be asked for', async (t) => {
  const lab = await start(t, 'bridge\nOUTBOUND_MAX_CALLS=1');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  const other = await lab.call();
  other.session.send({ event: 'transfer', to: TO });
  await failed(other.session, 'provider-full');
  lab.ari.dialFails(second, 'BUSY', 17, 486);
  await failed(session, 'busy');
  other.session.send({ event: 'transfer', to: TO });
  lab.ari.dialFails(await leg(lab, other.channel), 'BUSY', 17, 486);
  await failed(other.session, 'busy');
  for (const { id } of [channel, other.channel]) lab.ari.hangUp(id);
  await lab.ended(1);
});

test('second legs count among the calls that may begin in a second, beside those of the API', async (t) => {
  const lab = await start(t, 'bridge\nOUTBOUND_CALLS_PER_SECOND=0.01', { API_TOKEN });
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  lab.ari.dialFails(await leg(lab, channel), 'BUSY', 17, 486);
  await failed(session, 'busy');
  for (const by of ['bot', 'api'] as const) {
    if (by === 'bot') session.send({ event: 'transfer', to: TO });
    else assert.equal((await transferByApi(lab)).status, 429);
    await failed(session, 'provider-full');
  }
  const order = { to: TO, provider: 'pb_fintech' };
  assert.equal((await api(lab, 'POST', '/calls', order)).status, 429);
  assert.equal(session.of('transfer').filter(({ status }) => status === 'started').length, 1);
  await hangUpAndEnd(lab, channel);
});

/** A transfer of the only call. */
async function transferByApi(lab: Lab): Promise<{ status: number }> {
  const { calls } = (await api(lab, 'GET', '/calls')).body as { calls: { callId: string }[] };
  return await api(lab, 'POST', `/calls/${calls[0]?.callId}/transfer`, { to: TO });
}

test('a second transfer while one is under way is refused', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  session.send({ event: 'transfer', to: TO });
  await failed(session, 'under-way');
  const figure = (reason: string) => lab.metric(`transfers_total{status="failed",reason="${reason}"}`);
  assert.equal(await figure('under-way'), 1);
  assert.deepEqual(
    lab.logged('transfer failed').map(({ reason }) => reason),
    ['under-way'],
  );
  lab.ari.dialFails(second, 'BUSY', 17, 486);
  await failed(session, 'busy');
  assert.equal(await figure('busy'), 1);
  assert.deepEqual(lab.logged('transfer pending'), []);
  await hangUpAndEnd(lab, channel);
});

for (const how of ['completed', 'busy', 'caller-hangup'] as const) {
  test(`what is refused meanwhile hides nothing of the transfer under way: ${how}`, async (t) => {
    const lab = await start(t, 'bridge', { API_TOKEN });
    const { channel, session } = await lab.call();
    session.send({ event: 'transfer', to: TO });
    const second = await leg(lab, channel);
    session.send({ event: 'transfer', to: '+4930111' });
    await failed(session, 'under-way');
    if (how === 'completed') {
      lab.ari.picksUp(second);
      await until(() => session.closed !== undefined, 'the bot is let go');
    } else if (how === 'busy') {
      lab.ari.dialFails(second, 'BUSY', 17, 486);
      await failed(session, 'busy');
    }
    lab.ari.hangUp(channel.id);
    await lab.ended();
    const { calls } = (await api(lab, 'GET', '/calls')).body as { calls: { transfer: object }[] };
    const { transfer } = calls[0] as { transfer: object };
    const became = { completed: {}, busy: { reason: 'busy' }, 'caller-hangup': { reason: 'failed' } }[how];
    const status = how === 'completed' ? 'completed' : 'failed';
    assert.deepEqual(transfer, { to: TO, mode: 'blind', status, ...became });
  });
}

test('a transfer that outlasts the media time-out is none', async (t) => {
  const lab = await start(t, 'bridge', { MEDIA_TIMEOUT_MS: '300' });
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  await new Promise((resolve) => setTimeout(resolve, 500));
  lab.ari.dialFails(second, 'BUSY', 17, 486);
  await failed(session, 'busy');
  // Nothing comes from Asterisk now, as before the transfer.
  assert.equal((await lab.ended()).reason.kind, 'media-timeout');
  assert.equal(channel.done.includes('ring'), true);
});

test('the API transfers and sends keys; the record and the events say what became of it', async (t) => {
  const lab = await start(t, 'bridge', { API_TOKEN });
  const { channel, session } = await lab.call({ variables: { X_CALL_ID: 'c-1' } });
  const events = await listen(lab);
  t.after(() => events.stop());
  assert.equal((await api(lab, 'POST', '/calls/c-1/dtmf', { digits: '1,w#' })).status, 202);
  await until(() => channel.done.includes('dtmf #'), 'the keys');
  assert.ok(channel.done.includes('dtmf 1'));
  const refused = await api(lab, 'POST', '/calls/c-1/transfer', { to: '+1900123456' });
  assert.deepEqual([refused.status, refused.body.errors?.[0].field], [422, 'to']);
  assert.match(refused.body.detail, /number-not-allowed/);
  assert.equal((await api(lab, 'POST', '/calls/c-1/transfer', { to: '030 999000' })).status, 202);
  const second = await leg(lab, channel);
  const record = () => api(lab, 'GET', '/calls/c-1').then(({ body }) => body);
  assert.deepEqual((await record()).transfer, { to: TO, mode: 'blind', status: 'pending' });
  lab.ari.picksUp(second);
  await until(() => session.closed !== undefined, 'the bot is let go');
  lab.ari.hangUp(second.id);
  assert.deepEqual((await lab.ended()).reason, { kind: 'transferred', by: 'operator' });
  const ended = await until(async () => {
    const body = await record();
    return body.state === 'closed' && body;
  }, 'the record');
  assert.partialDeepStrictEqual(ended, {
    endReason: 'transferred',
    endedBy: 'operator',
    transfer: { to: TO, mode: 'blind', status: 'completed' },
  });
  await until(() => events.received.some(({ event }) => event === 'call.ended'), 'its end');
  const names = events.received.map(({ event }) => event);
  assert.ok(names.indexOf('call.transfer-started') < names.indexOf('call.transfer-completed'), String(names));
});

test('a media channel that ends as it is taken out of the mixing bridge does not stop the transfer', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  lab.ari.before(/\/removeChannel$/, () => {
    lab.ari.hangUp(lab.ari.mediaIdOf(channel.id));
    return undefined;
  });
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  lab.ari.picksUp(second);
  await until(() => session.closed !== undefined, 'the bot is let go');
  assert.deepEqual(members(lab, channel).sort(), [channel.id, second.id].sort());
  lab.ari.hangUp(second.id);
  assert.equal((await lab.ended()).reason.kind, 'transferred');
});

test('a media channel that ends while the second leg rings does not stop the transfer', async (t) => {
  const lab = await start(t, 'bridge');
  const { channel, session } = await lab.call();
  session.send({ event: 'transfer', to: TO });
  const second = await leg(lab, channel);
  lab.ari.rings(second);
  lab.ari.hangUp(lab.ari.mediaIdOf(channel.id));
  await delay(100);
  lab.ari.picksUp(second);
  await until(() => session.closed !== undefined, 'the bot is let go');
  await until(() => members(lab, channel).length === 2, 'both in the bridge');
  lab.ari.hangUp(second.id);
  assert.equal((await lab.ended()).reason.kind, 'transferred');
});
