import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { BotSession } from './fake-bot.ts';
import { Lab, speech, until } from './harness.ts';

const API_TOKEN = 'token-of-the-api';
const TWILIO = { PIPECAT_DIALECT: 'twilio', API_TOKEN };

/** What a stock bot does when its pipeline ends or is cancelled. */
async function hangUpByRest(lab: Lab, start: Record<string, string>, token: string): Promise<Response> {
  const { accountSid, callSid } = start;
  const path = `/2010-04-01/Accounts/${accountSid}/Calls/${callSid}.json`;
  return await fetch(`http://127.0.0.1:${lab.daemon.httpPort}${path}`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${accountSid}:${token}`)}` },
    body: new URLSearchParams({ Status: 'completed' }),
  });
}

/** A lab whose bots speak Twilio's format, with a call that is up and relayed. */
async function call(t: TestContext, config: Record<string, string> = {}) {
  const lab = await Lab.start(t, { config: { RECORDS_STDOUT: 'full', ...TWILIO, ...config } });
  const channel = lab.ari.inbound();
  const session = await lab.session();
  const rtp = await until(
    () => lab.ari.channels.has(lab.ari.mediaIdOf(channel.id)) && lab.ari.mediaOf(channel.id),
    'the media channel',
  );
  await until(() => rtp.heard.length > 0, 'the first packet');
  return { lab, session, channel, rtp };
}

function startOf(session: BotSession) {
  return session.of('start')[0]?.start as Record<string, string>;
}

function payloads(session: BotSession): Buffer {
  const media = session.of('media').map((message) => message.media as { payload: string });
  return Buffer.concat(media.map(({ payload }) => Buffer.from(payload, 'base64')));
}

test('audio crosses in Twilio’s messages both ways, and the bot hears of nothing that it does not know', async (t) => {
  const { lab, session, rtp } = await call(t);
  const caller = speech(1, 3);
  rtp.send(caller);
  await until(() => payloads(session).includes(caller), 'the caller at the bot');
  session.send({ event: 'clear', streamSid: startOf(session).streamSid });
  session.send('what?');
  session.send({
    event: 'media',
    streamSid: startOf(session).streamSid,
    media: { payload: speech(10).toString('base64') },
  });
  session.send({ event: 'mark', mark: { name: 'end' } });
  await until(() => session.of('mark').length > 0, 'the mark');
  session.close(1000);
  await lab.ended();
  assert.deepEqual(rtp.speech(), speech(10));
  assert.deepEqual(session.order().slice(0, 3), ['connected', 'start', 'media']);
  assert.deepEqual(
    [...new Set(session.order())].filter(
      (event) => !['connected', 'start', 'media', 'mark', 'stop'].includes(event),
    ),
    [],
  );
  const numbers = session.events.slice(1).map(({ sequenceNumber }) => Number(sequenceNumber));
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
});

test('the caller’s digits and hang-up arrive, and stop is the last message before close 1000', async (t) => {
  const { lab, session, channel } = await call(t);
  lab.ari.pressKey(channel, '5', 120);
  await until(() => session.of('dtmf').length > 0, 'the digit');
  assert.deepEqual(session.of('dtmf')[0]?.dtmf, { track: 'inbound_track', digit: '5' });
  lab.ari.hangUp(channel.id);
  await lab.ended();
  await until(() => session.closed !== undefined, 'the socket closed');
  assert.equal(session.closed, 1000);
  assert.deepEqual(session.order().slice(-1), ['stop']);
});

for (const [what, end] of [
  ['', () => {}],
  [' and breaks its connection', (session: BotSession) => session.cut()],
] as const)
  test(`a bot that hangs up by Twilio’s REST API${what} is heard to its last word, and not sought again`, async (t) => {
    const { lab, session, rtp } = await call(t);
    const post = (token: string) => hangUpByRest(lab, startOf(session), token);
    session.send({ event: 'media', media: { payload: speech(20).toString('base64') } });
    await until(() => rtp.speech().length > 0, 'the goodbye has begun');
    assert.equal((await post('not the token')).status, 401);
    assert.equal((await post(API_TOKEN)).status, 200);
    end(session);
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-hangup');
    assert.deepEqual(rtp.speech(), speech(20));
    assert.equal(lab.bot.attempts, 1);
    await until(async () => (await post(API_TOKEN)).status === 404, 'the call is gone');
  });

test('a bot that was lost is given a stream that begins anew, and says that it does', async (t) => {
  const { lab, session, rtp } = await call(t);
  rtp.send(speech(1, 3));
  await until(() => session.of('media').length > 0, 'the caller at the bot');
  session.cut();
  const again = await lab.session(1);
  const caller = speech(1, 5);
  rtp.send(caller);
  await until(() => payloads(again).includes(caller), 'the caller at the bot again');
  const former = startOf(session);
  const later = startOf(again);
  assert.equal(later.streamSid, former.streamSid);
  assert.notEqual(later.callSid, former.callSid, 'a hang-up by REST names its connection by it');
  assert.equal((later.customParameters as unknown as Record<string, string>).reconnected, 'true');
  assert.deepEqual(again.order().slice(0, 3), ['connected', 'start', 'media']);
  assert.deepEqual(
    again.events.slice(1, 3).map(({ sequenceNumber }) => sequenceNumber),
    ['1', '2'],
  );
  again.send({ event: 'hangup', immediate: true });
  await lab.ended();
});

for (const [what, config, lose] of [
  ['was lost', {}, (session: BotSession) => session.cut()],
  ['we closed since it said nothing', { BOT_SPEAKS_FIRST: 'yes', FIRST_AUDIO_MS: '1500' }, () => {}],
] as const)
  test(`a hang-up by REST of a bot whose connection ${what} does not end the call of the next one`, async (t) => {
    const { lab, session, channel, rtp } = await call(t, config);
    const next = Promise.withResolvers<'accept'>();
    lab.bot.decide = () => next.promise;
    lose(session);
    await until(() => lab.logged('bot lost, trying again')[0], 'the connection is over');
    const early = await hangUpByRest(lab, startOf(session), API_TOKEN);
    assert.equal(early.status, 404, 'while the next one is sought');
    assert.equal(((await early.json()) as { code: number }).code, 20404);
    next.resolve('accept');
    const second = await lab.session(1);
    const late = await hangUpByRest(lab, startOf(session), API_TOKEN);
    assert.equal(late.status, 404, 'while the next one talks');
    second.send({ event: 'media', media: { payload: speech(5).toString('base64') } });
    await until(() => rtp.speech().includes(speech(5)), 'the second bot');
    assert.ok(lab.ari.channels.has(channel.id));
    assert.deepEqual(lab.logged('call ended'), []);
    assert.equal((await hangUpByRest(lab, startOf(second), API_TOKEN)).status, 200, 'its own hang-up counts');
    assert.equal((await lab.ended()).reason.kind, 'bot-hangup');
  });

test('a transfer that is refused is in the log, the record and the metrics, though the bot is told nothing', async (t) => {
  const { lab, session, channel } = await call(t);
  session.send({ event: 'transfer', to: '+4930999' });
  await until(() => lab.logged('transfer failed')[0], 'a line of the log');
  assert.partialDeepStrictEqual(lab.logged('transfer failed'), [
    { level: 40, reason: 'unknown-provider', mode: 'blind', channelId: channel.id },
  ]);
  const name = 'transfers_total{status="failed",reason="unknown-provider"}';
  assert.equal(await lab.metric(name), 1);
  session.send({ event: 'transfer', to: 'desk', mode: 'dialplan', context: 'secret' });
  await until(() => lab.logged('transfer failed')[1], 'the next');
  lab.ari.hangUp(channel.id);
  await lab.ended();
  const { record } = (await until(() => lab.logged('call record')[0], 'the record')) as unknown as {
    record: { transfer?: object };
  };
  assert.deepEqual(record.transfer, {
    to: 'desk',
    mode: 'dialplan',
    status: 'failed',
    reason: 'context-not-allowed',
  });
});
