import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeReceiver } from './fake-receiver.ts';
import { Lab, speech, until } from './harness.ts';

async function startReceiver(t: TestContext): Promise<FakeReceiver> {
  const receiver = await FakeReceiver.start('callback-secret');
  t.after(() => receiver.close());
  return receiver;
}

test('a call that somebody originated is taken over when it is answered, as outbound', async (t) => {
  const lab = await Lab.start(t);
  const receiver = await startReceiver(t);
  const channel = lab.ari.originate({
    to: '+4930777',
    from: '+4930111',
    args: ['call-9'],
    variables: { X_CALLBACK_URL: receiver.url },
  });
  lab.ari.answered(channel);
  const session = await lab.session();
  assert.equal(session.query.get('direction'), 'outbound');
  assert.equal(session.query.get('to_number'), '+4930777');
  assert.equal(session.query.get('call_id'), 'call-9');
  assert.deepEqual(session.events[0]?.app_args, ['call-9']);
  await until(() => session.of('answered').length > 0, 'answered');
  session.speak(speech(3));
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => rtp.speech().length >= 480, 'the bot is heard');
  assert.deepEqual(channel.done, []);
  session.send({ event: 'hangup' });
  await lab.ended();
  await until(() => receiver.callbacks.length > 0, 'the callback');
  assert.deepEqual(receiver.callbacks, [
    {
      fields: {
        call_sid: channel.id,
        call_id: 'call-9',
        status: 'completed',
        outcome: 'answered',
        cause: '16',
      },
      isSigned: true,
    },
  ]);
  assert.doesNotMatch(JSON.stringify(session.events), /X_CALLBACK_URL/);
});

test('a channel that enters Stasis before its dial is taken over when it is answered', async (t) => {
  const lab = await Lab.start(t);
  const channel = lab.ari.add({ state: 'Down', isOriginated: true, args: ['call-8'] });
  channel.subscribed = true;
  lab.ari.enterStasis(channel);
  lab.ari.tellDial(channel, '');
  lab.ari.tellDial(channel, 'RINGING');
  channel.state = 'Up';
  lab.ari.emit('ChannelStateChange', { channel: lab.ari.show(channel) });
  lab.ari.tellDial(channel, 'ANSWER');
  const session = await lab.session();
  assert.equal(session.query.get('direction'), 'outbound');
  assert.equal(session.query.get('call_id'), 'call-8');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  assert.equal(lab.bot.attempts, 1);
});

test('a callee who answers at capacity is refused once, however often Asterisk reports the answer', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  const { channel: other } = await lab.call();
  const channel = lab.ari.add({ state: 'Down', isOriginated: true, args: ['call-8'] });
  channel.subscribed = true;
  lab.ari.enterStasis(channel);
  lab.ari.before(/DELETE /, async () => {
    await delay(100);
    return undefined;
  });
  channel.state = 'Up';
  lab.ari.emit('ChannelStateChange', { channel: lab.ari.show(channel) });
  lab.ari.emit('ChannelStateChange', { channel: lab.ari.show(channel) });
  await until(() => !lab.ari.channels.has(channel.id), 'hung up');
  assert.equal(await lab.metric('calls_refused_total{why="at-capacity"}'), 1);
  lab.ari.hangUp(other.id);
  await lab.ended();
});

for (const [what, dialStatus, cause, sipStatus, status, outcome] of [
  ['is busy', 'BUSY', 17, 486, 'busy', 'busy'],
  ['does not answer', '', 19, 480, 'no-answer', 'no-answer'],
  ['is unknown', 'NOANSWER', 1, 404, 'error', 'invalid-number'],
  ['declines', 'NOANSWER', 21, 603, 'error', 'rejected'],
  ['is out of reach', 'CONGESTION', 34, 503, 'error', 'unreachable'],
] as const) {
  test(`a callee who ${what} is reported to who placed the call, and never reaches a bot`, async (t) => {
    const lab = await Lab.start(t);
    const receiver = await startReceiver(t);
    const channel = lab.ari.originate({ variables: { X_CALLBACK_URL: receiver.url, X_CALL_ID: 'c-1' } });
    lab.ari.dialFails(channel, dialStatus, cause, sipStatus);
    await until(() => receiver.callbacks.length > 0, 'the callback');
    assert.deepEqual(receiver.callbacks[0], {
      fields: {
        call_sid: channel.id,
        call_id: 'c-1',
        status,
        outcome,
        cause: String(cause),
        sip_status: String(sipStatus),
      },
      isSigned: true,
    });
    assert.equal(lab.bot.attempts, 0);
    assert.equal(await lab.metric(`dials_failed_total{outcome="${outcome}"}`), 1);
  });
}

test('a call that is hung up before Asterisk has begun to dial is reported like any other', async (t) => {
  const lab = await Lab.start(t);
  const receiver = await startReceiver(t);
  const variables = { X_CALL_ID: 'c-withdrawn', X_CALLBACK_URL: receiver.url };
  const channel = lab.ari.add({ variables, state: 'Down', isOriginated: true });
  channel.subscribed = true;
  lab.ari.hangUp(channel.id);
  await until(() => receiver.callbacks.length > 0, 'the callback');
  assert.partialDeepStrictEqual(receiver.callbacks[0]?.fields, {
    call_id: 'c-withdrawn',
    call_sid: channel.id,
    outcome: 'cancelled',
  });
  assert.equal(await lab.metric('dials_failed_total{outcome="cancelled"}'), 1);
});

test('a callback is tried again until the receiver takes it', async (t) => {
  const lab = await Lab.start(t, { config: { SHUTDOWN_MS: '3000' } });
  const receiver = await startReceiver(t);
  receiver.statuses.push(500, 503);
  const channel = lab.ari.originate({ variables: { X_CALLBACK_URL: receiver.url } });
  lab.ari.dialFails(channel, 'BUSY', 17, 486);
  await until(() => receiver.callbacks.length === 3, 'the third try');
  assert.deepEqual(receiver.callbacks[2], receiver.callbacks[0]);
  assert.equal(new Set(receiver.deliveries).size, 1);
  assert.equal(receiver.callbacks[2]?.isSigned, true);
  await until(async () => (await lab.metric('callbacks_delivered_total')) === 1, 'delivered once');
});

test('a receiver that is not there costs a warning, not the bridge', async (t) => {
  const lab = await Lab.start(t, { config: { CALLBACK_TRIES: '1' } });
  for (const url of ['http://127.0.0.1:9/', 'no url', 'file:///etc/passwd']) {
    const channel = lab.ari.originate({ variables: { X_CALLBACK_URL: url } });
    lab.ari.dialFails(channel, 'BUSY', 17, 486);
  }
  await until(() => lab.logged('status callback given up').length === 3, 'three warnings');
});

test('a callee who answers and meets no bot is hung up, and the call reported as an error', async (t) => {
  const lab = await Lab.start(t, { config: { BOT_CONNECT_TRIES: '1' } });
  const receiver = await startReceiver(t);
  lab.bot.decide = () => 503;
  const channel = lab.ari.originate({ variables: { X_CALLBACK_URL: receiver.url } });
  lab.ari.answered(channel);
  await lab.ended();
  assert.equal(channel.continued, false);
  assert.equal(lab.ari.channels.has(channel.id), false);
  await until(() => receiver.callbacks.length > 0, 'the callback');
  assert.equal(receiver.callbacks[0]?.fields.status, 'error');
});

test('a callee for whom there is no room is hung up, and the call reported as an error', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALLS: '1' } });
  const receiver = await startReceiver(t);
  const { channel } = await lab.call();
  const second = lab.ari.originate({ variables: { X_CALLBACK_URL: receiver.url } });
  lab.ari.answered(second);
  await until(() => receiver.callbacks.length > 0, 'the callback');
  assert.equal(receiver.callbacks[0]?.fields.status, 'error');
  assert.equal(second.continued, false);
  assert.equal(lab.bot.attempts, 1);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('somebody else’s call that Asterisk ends with its answer, before it says of the audio, was none', async (t) => {
  const lab = await Lab.start(t);
  const others = lab.ari.originate({ to: '+4930777', args: ['call-11'] });
  lab.ari.answered(others);
  lab.ari.hangUp(others.id, 58);
  const ended = await lab.ended();
  assert.deepEqual([ended.outcome, ended.answered], ['failed', false]);
});

test('an answer that cannot be used fails the call, whoever placed it, and is no answer', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.hasAudio = false;
  const others = lab.ari.originate({ to: '+4930777', args: ['call-10'] });
  lab.ari.answered(others);
  const ended = await lab.ended();
  assert.deepEqual(
    [ended.reason.kind, ended.outcome, ended.cause, ended.answered],
    ['not-answered', 'failed', 58, false],
  );
  await until(() => !lab.ari.channels.has(others.id), 'the callee is hung up');
});

test('a callee who answered has answered, also where the call fails before Asterisk has said of the audio', async (t) => {
  const lab = await Lab.start(t, { config: { BOT_CONNECT_TRIES: '1' } });
  const refused = Promise.withResolvers<undefined>();
  lab.ari.before(/rtp_statistics$/, async () => {
    await refused.promise;
    await delay(50);
    return undefined;
  });
  lab.bot.decide = () => {
    refused.resolve(undefined);
    return 503;
  };
  lab.ari.answered(lab.ari.originate({ to: '+4930777', args: ['call-12'] }));
  const ended = await lab.ended();
  assert.deepEqual(
    [ended.reason.kind, ended.outcome, ended.answered, ended.sipStatus],
    ['bot-unavailable', 'answered', true, undefined],
  );
});

test('an answer without audio is none, also where the bot refuses before Asterisk has said so', async (t) => {
  const lab = await Lab.start(t, { config: { BOT_CONNECT_TRIES: '1' } });
  lab.ari.hasAudio = false;
  lab.ari.before(/rtp_statistics$/, async () => {
    await delay(100);
    return undefined;
  });
  lab.bot.decide = () => 503;
  lab.ari.answered(lab.ari.originate({ to: '+4930777', args: ['call-13'] }));
  assert.equal((await lab.ended()).answered, false);
});

test('a callee who answered has answered, also where there is no port for the call', async (t) => {
  const other = createSocket('udp4');
  other.bind(39_010, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const lab = await Lab.start(t, { config: { RTP_PORT_MIN: '39010', RTP_PORT_MAX: '39011' } });
  lab.ari.answered(lab.ari.originate({ to: '+4930777', args: ['call-14'] }));
  const ended = await lab.ended();
  assert.deepEqual([ended.reason.kind, ended.outcome, ended.answered], ['media-failed', 'answered', true]);
});
