import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeMulaw } from '../src/audio/format.ts';
import type { FakeRtp } from './fake-rtp.ts';
import { Lab, speech, until } from './harness.ts';

/** The caller speaks: whole frames, all at once. */
function talk(rtp: FakeRtp, audio: Buffer): void {
  for (let i = 0; i < audio.length; i += 160) rtp.send(audio.subarray(i, i + 160));
}

function toPcm16(mulaw: Buffer): Buffer {
  const pcm = Buffer.alloc(mulaw.length * 2);
  mulaw.forEach((byte, i) => {
    pcm.writeInt16LE(decodeMulaw(byte), i * 2);
  });
  return pcm;
}

test('an inbound call is offered to the bot, answered, relayed both ways, and released', async (t) => {
  const lab = await Lab.start(t);
  const channel = lab.ari.inbound({ variables: { X_CALL_ID: 'call-1' } });
  const session = await lab.session();
  await until(() => session.of('answered').length > 0, 'answered');
  assert.equal(await lab.metric('calls_active'), 1);
  assert.equal(await lab.metric('bot_connections'), 1);
  assert.equal(await lab.metric('rtp_ports_in_use'), 1);
  const rtp = lab.ari.mediaOf(channel.id);
  const heard = speech(5);
  talk(rtp, heard);
  // Before and behind it there is silence.
  await until(() => session.audio().includes(heard), 'media at the bot');
  session.speak(speech(3, 1));
  await until(() => rtp.speech().length >= 480, 'audio at the caller');
  assert.deepEqual(rtp.speech(), speech(3, 1));
  // Audio that is still in transit, and the silence that fills gaps, must not come after the
  // hang-up.
  lab.ari.before(/^DELETE .*pcm-/, async () => {
    talk(rtp, speech(3));
    await new Promise((resolve) => setTimeout(resolve, 150));
    return undefined;
  });
  lab.ari.hangUp(channel.id, 16);
  const ended = await lab.ended();
  await until(() => session.closed !== undefined, 'the bot is let go');
  assert.deepEqual(session.order(), ['start', 'answered', 'media', 'hangup']);
  assert.deepEqual(session.events.at(-1), {
    event: 'hangup',
    reason: 'caller-hangup',
    cause: 16,
    causeText: 'Normal call clearing',
  });
  assert.equal(session.closed, 1000);
  assert.equal(ended.reason.kind, 'caller-hangup');
  assert.equal(ended.answered, true);
  assert.deepEqual(channel.done, ['ring', 'answer']);
});

for (const name of [
  'Local/102@from-provider-00000001;2',
  'UnicastRTP/127.0.0.1:4000-0x7f00',
  'WebSocket/x/0x1',
])
  test(`a channel that is no telephone line gets no bot: ${name}`, async (t) => {
    const lab = await Lab.start(t);
    const channel = lab.ari.inbound({ name });
    await until(() => !lab.ari.channels.has(channel.id), 'it is hung up');
    assert.equal(lab.bot.sessions.length, 0);
    assert.equal(await lab.metric('calls_active'), 0);
  });

test('an INVITE that came by two ways is one call; after it the same dialogue is served again', async (t) => {
  const lab = await Lab.start(t);
  const variables = { SIP_CALL_ID: 'one@127.0.0.2', SIP_FROM_TAG: 'a1' };
  const first = await lab.call({ variables });
  const second = lab.ari.inbound({ variables });
  await until(() => second.variables.PIPECAT_STATUS === 'merged', 'it is given back');
  assert.equal(lab.bot.sessions.length, 1);
  const other = await lab.call({ variables: { ...variables, SIP_FROM_TAG: 'a2' } });
  for (const { channel } of [first, other]) lab.ari.hangUp(channel.id);
  await lab.ended(1);
  const again = await lab.call({ variables });
  lab.ari.hangUp(again.channel.id);
  await lab.ended(2);
});

test('a call is served while that of a channel whose id begins like its own goes on', async (t) => {
  const lab = await Lab.start(t);
  const first = await lab.call({ id: '1763800000.10' });
  const second = await lab.call({ id: '1763800000.1' });
  for (const { channel } of [first, second]) lab.ari.hangUp(channel.id);
  await lab.ended(1);
});

test('the bot is told who calls, in its URL and in start, with a plus intact', async (t) => {
  const lab = await Lab.start(t);
  const variables = {
    X_TENANT: 'acme & co',
    INBOUND_PROVIDER: 'pb_fintech',
    INBOUND_DID: '+4930111222',
    INBOUND_FROM: '+491701234567',
    SIP_CONTEXT: 'from-provider',
    SIP_CALL_ID: 'abc@127.0.0.2',
    CUSTOM_VARS: 'plan=gold%20plus&phone=+49',
    TRANSFER_TYPE: 'blind',
    SIP_HEADERS: 'X-Call-ID=abc-1&x-agent-id=a%2C%20b%26c%3Dd%20(x)&X-Note=50%25+1',
  };
  const { channel, session } = await lab.call({ variables, args: ['ignored'] });
  assert.deepEqual(Object.fromEntries(session.query), {
    call_id: 'abc-1',
    encoding: 'pcmu',
    sample_rate: '8000',
    tenant: 'acme & co',
    direction: 'inbound',
    sip_provider: 'pb_fintech',
    from_number: '+491701234567',
    to_number: '+4930111222',
    sip_context: 'from-provider',
    agent_id: 'a, b&c=d (x)',
    transfer_type: 'blind',
  });
  assert.match(session.request.url ?? '', /from_number=%2B491701234567&/);
  assert.doesNotMatch(session.request.url ?? '', /\+/);
  const { SIP_HEADERS, ...shown } = variables;
  assert.deepEqual(session.events[0], {
    event: 'start',
    callId: 'abc-1',
    call_id: 'abc-1',
    streamId: channel.id,
    tenant: 'acme & co',
    encoding: 'pcmu',
    sampleRate: 8000,
    direction: 'inbound',
    channel_id: channel.id,
    sip_call_id: 'abc@127.0.0.2',
    sip_provider: 'pb_fintech',
    from: '+491701234567',
    to: '+4930111222',
    variables: shown,
    app_args: ['ignored'],
    custom_vars: { plan: 'gold plus', phone: '+49' },
    headers: { 'X-Call-ID': 'abc-1', 'x-agent-id': 'a, b&c=d (x)', 'X-Note': '50%+1' },
  });
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('variables are asked for where events do not name them', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.showsVariables = false;
  const { channel, session } = await lab.call({ variables: { X_CALL_ID: 'asked', X_TENANT: 'acme' } });
  assert.equal(session.query.get('call_id'), 'asked');
  assert.equal(session.query.get('tenant'), 'acme');
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a caller who hangs up while the variables are asked for never reaches the bot', async (t) => {
  const lab = await Lab.start(t, { config: { ARI_TIMEOUT_MS: '300' } });
  lab.ari.showsVariables = false;
  lab.ari.before(/variable$/, () => 'never');
  const channel = lab.ari.inbound();
  await until(() => lab.ari.log().some((line) => line.endsWith('/variable')), 'a question');
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  assert.equal(lab.bot.attempts, 0);
});

test('a caller whose variables cannot be read is given back to the dialplan', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.showsVariables = false;
  lab.ari.before(/GET .*variable$/, () => 500);
  const channel = lab.ari.inbound();
  await until(() => channel.continued, 'the caller goes on in the dialplan');
  assert.equal(channel.variables.PIPECAT_STATUS, 'setup-failed');
});

test('a media channel that enters Stasis before its own reply is recognised', async (t) => {
  const lab = await Lab.start(t);
  lab.ari.startsBeforeReply = true;
  const { channel } = await lab.call();
  lab.ari.hangUp(channel.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});

test('A-law goes through byte by byte, both ways', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call({ variables: { X_CODEC: 'pcma' } });
  const rtp = lab.ari.mediaOf(channel.id);
  talk(rtp, speech(4));
  session.speak(speech(4, 2));
  await until(() => session.audio().length >= 640 && rtp.speech(0xd5).length >= 640, 'audio both ways');
  assert.deepEqual(session.audio().subarray(0, 640), speech(4));
  assert.deepEqual(rtp.speech(0xd5), speech(4, 2));
  assert.equal(rtp.heard[0]?.payloadType, 8);
  assert.equal(session.query.get('encoding'), 'pcma');
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a pcm16 bot hears and speaks samples, also when a message ends within one', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call({ variables: { X_CODEC: 'pcm16' } });
  const rtp = lab.ari.mediaOf(channel.id);
  talk(rtp, speech(4));
  const words = toPcm16(speech(4, 3));
  session.speak(words.subarray(0, 333));
  session.speak(words.subarray(333));
  await until(() => session.audio().length >= 1280 && rtp.speech().length >= 640, 'audio both ways');
  assert.deepEqual(session.audio().subarray(0, 1280), toPcm16(speech(4)));
  assert.deepEqual(rtp.speech(), speech(4, 3));
  assert.deepEqual(
    session.of('media').map(({ sampleRate, encoding }) => `${encoding}/${sampleRate}`)[0],
    'pcm16/8000',
  );
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('keys go both ways, and keys of the bot in the order in which it sent them', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  lab.ari.pressKey(channel, '5', 120);
  await until(() => session.of('dtmf').length > 0, 'the key at the bot');
  assert.deepEqual(session.of('dtmf'), [{ event: 'dtmf', digit: '5', durationMs: 120 }]);
  let isFirst = true;
  lab.ari.before(/dtmf$/, async () => {
    if (!isFirst) return undefined;
    isFirst = false;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return undefined;
  });
  session.send({ event: 'dtmf', digits: '12#' });
  session.send({ event: 'dtmf', digits: 'A' });
  await until(() => channel.done.includes('dtmf A') && channel.done.includes('dtmf 12#'), 'both at Asterisk');
  assert.deepEqual(channel.done.slice(-2), ['dtmf 12#', 'dtmf A']);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('with ANSWER_ON=first-audio the caller is answered when the bot speaks', async (t) => {
  const lab = await Lab.start(t, { config: { ANSWER_ON: 'first-audio', FIRST_AUDIO_MS: '4000' } });
  const channel = lab.ari.inbound();
  const session = await lab.session();
  await until(() => lab.ari.membersOf(channel.id)?.size === 1, 'the media channel in the bridge');
  // Digital silence is nothing to hear, and neither is the noise of a line.
  for (let i = 0; i < 5; i++) session.speak(Buffer.alloc(320, i % 2 === 0 ? 0xff : 0x7f));
  session.speak(Buffer.alloc(16_000, 0), { encoding: 'pcm16' });
  session.speak(Buffer.alloc(320, 0xd5), { encoding: 'pcma' });
  session.send({ event: 'mark', name: 'silent' });
  session.send({ event: 'clear' });
  await until(() => session.of('cleared').length > 0, 'the silence is taken');
  await delay(100);
  assert.equal(channel.state, 'Ring');
  session.speak(speech(2));
  await until(() => session.of('answered').length > 0, 'answered');
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => rtp.speech().length >= 320, 'the greeting');
  assert.deepEqual(rtp.speech(), speech(2));
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('with ANSWER_ON=first-audio a bot that may be silent holds the answer up no longer than FIRST_AUDIO_MS', async (t) => {
  const lab = await Lab.start(t, {
    config: { ANSWER_ON: 'first-audio', FIRST_AUDIO_MS: '100', BOT_SPEAKS_FIRST: 'no' },
  });
  const { channel } = await lab.call();
  assert.equal(channel.state, 'Up');
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('what the bot says before the answer is the first thing that the caller hears', async (t) => {
  const lab = await Lab.start(t);
  lab.bot.onSession = (session) => session.speak(speech(6));
  const { channel } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  await until(() => rtp.speech().length >= 960, 'the greeting');
  assert.deepEqual(Buffer.concat(rtp.heard.slice(0, 6).map(({ payload }) => payload)), speech(6));
  assert.equal(rtp.heard[0]?.marker, true);
  assert.equal(rtp.heard[1]?.marker, false);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});

test('a bot that speaks and hangs up before the answer is still heard to its last byte', async (t) => {
  const lab = await Lab.start(t);
  lab.bot.onSession = (session) => {
    session.speak(speech(5));
    session.send({ event: 'hangup' });
  };
  const channel = lab.ari.inbound();
  const rtp = await until(
    () => lab.ari.channels.get(lab.ari.mediaIdOf(channel.id))?.rtp,
    'the media channel',
  );
  const ended = await lab.ended();
  assert.deepEqual(rtp.speech(), speech(5));
  assert.equal(ended.reason.kind, 'bot-hangup');
  assert.deepEqual(channel.done, ['ring', 'answer']);
  assert.equal(lab.ari.channels.has(channel.id), false);
});

test('a bot that hangs up before the answer without a word has the caller hung up, unanswered', async (t) => {
  const lab = await Lab.start(t);
  lab.bot.onSession = (session) => session.send({ event: 'hangup' });
  lab.ari.before(/externalMedia/, async () => {
    await until(() => lab.bot.sessions.length > 0, 'the bot');
    return undefined;
  });
  const channel = lab.ari.inbound();
  assert.equal((await lab.ended()).answered, false);
  assert.equal(channel.continued, false);
  assert.equal(lab.ari.channels.has(channel.id), false);
});
