import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Lab, speech, until } from './harness.ts';

// Each test has a bridge of its own and mostly waits: several at once take no longer than one.
describe('a bot', { concurrency: 6 }, () => {
  test('a bot that refuses is tried again, then the caller goes on in the dialplan unanswered', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_CONNECT_TRIES: '2' } });
    lab.bot.decide = () => 503;
    const channel = lab.ari.inbound();
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-unavailable');
    assert.match(ended.reason.detail ?? '', /503/);
    assert.equal(lab.bot.attempts, 2);
    assert.equal(channel.continued, true);
    assert.equal(channel.variables.PIPECAT_STATUS, 'bot-unavailable');
    assert.deepEqual(channel.done, ['ring', 'continue']);
  });

  test('a bot that accepts at the second try has the call', async (t) => {
    const lab = await Lab.start(t);
    lab.bot.decide = (attempt) => (attempt === 1 ? 503 : 'accept');
    const { channel } = await lab.call();
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('a bot that never answers is given up in time', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_CONNECT_MS: '150' } });
    lab.bot.decide = () => 'never';
    const channel = lab.ari.inbound();
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-unavailable');
    assert.equal(ended.reason.detail, 'no answer in time');
    assert.equal(channel.continued, true);
  });

  test('a slow bot keeps the caller ringing, not waiting in silence', async (t) => {
    const lab = await Lab.start(t);
    const admit = Promise.withResolvers<'accept'>();
    lab.bot.decide = () => admit.promise;
    const channel = lab.ari.inbound();
    await until(() => lab.ari.membersOf(channel.id)?.size === 1, 'the media path');
    assert.deepEqual(channel.done, ['ring']);
    admit.resolve('accept');
    await until(() => channel.state === 'Up', 'the answer');
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('an unreachable bot is said to be unavailable', async (t) => {
    const lab = await Lab.start(t, { config: { PIPECAT_URL: 'ws://127.0.0.1:9/x', BOT_CONNECT_TRIES: '1' } });
    const channel = lab.ari.inbound();
    const ended = await lab.ended();
    assert.equal(ended.reason.detail, 'ECONNREFUSED');
    assert.equal(channel.variables.PIPECAT_STATUS, 'bot-unavailable');
  });

  for (const code of [1001, 1006, 1011]) {
    test(`a bot lost with ${code} in mid-call is sought again, and told that it is a reconnection`, async (t) => {
      const lab = await Lab.start(t);
      const { channel, session } = await lab.call({ variables: { X_CALL_ID: 'same' } });
      const rtp = lab.ari.mediaOf(channel.id);
      if (code === 1006) session.cut();
      else session.close(code);
      const second = await lab.session(1);
      await until(() => second.of('answered').length > 0, 'answered again');
      assert.equal(second.events[0]?.reconnected, true);
      assert.equal(second.events[0]?.callId, 'same');
      assert.equal(second.query.get('call_id'), 'same');
      second.speak(speech(3));
      rtp.send(Buffer.alloc(160, 0x33));
      await until(() => rtp.speech().includes(speech(3)) && second.audio().includes(0x33), 'audio both ways');
      assert.deepEqual(channel.done, ['ring', 'answer']);
      lab.ari.hangUp(channel.id);
      assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
    });
  }

  test('a lost bot that does not come back sends the caller on in the dialplan', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECT_MS: '300' } });
    const { channel, session } = await lab.call();
    lab.bot.decide = () => 503;
    const lostMs = performance.now();
    session.close(1011);
    const ended = await lab.ended();
    t.diagnostic(`given up after ${Math.round(performance.now() - lostMs)} ms`);
    assert.equal(ended.reason.kind, 'bot-lost');
    assert.match(ended.reason.detail ?? '', /1011/);
    assert.equal(channel.continued, true);
    assert.equal(channel.variables.PIPECAT_STATUS, 'bot-lost');
  });

  test('with BOT_RECONNECT_MS=0 a lost bot is not sought', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECT_MS: '0' } });
    const { session } = await lab.call();
    session.cut();
    assert.equal((await lab.ended()).reason.kind, 'bot-lost');
    assert.equal(lab.bot.attempts, 1);
  });

  test('a bot that accepts and fails over and over is given up', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECT_MS: '500' } });
    const { channel, session } = await lab.call();
    lab.bot.onSession = (next) => next.close(1011);
    session.close(1011);
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-lost');
    assert.ok(lab.bot.attempts < 6, `${lab.bot.attempts} connections`);
    assert.equal(channel.continued, true);
  });

  test('a bot that was back for as long as it may be sought is sought anew when it is lost', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECT_MS: '1000' } });
    const { channel } = await lab.call();
    for (let connection = 0; connection < 2; connection++) {
      const session = await until(
        () => lab.bot.sessions[connection]?.of('answered')[0] && lab.bot.sessions[connection],
        'a bot',
      );
      await delay(connection === 0 ? 0 : 1_100);
      session.cut();
    }
    await until(() => lab.bot.sessions[2]?.of('answered')[0], 'the bot is back once more');
    assert.deepEqual(lab.logged('call ended'), []);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('a caller who hangs up while the bot is sought again leaves nothing behind', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECT_MS: '5000' } });
    const { channel, session } = await lab.call();
    lab.bot.decide = () => 'never';
    session.cut();
    await until(() => lab.bot.attempts === 2, 'the bot is sought');
    lab.ari.hangUp(channel.id);
    assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
  });

  test('a bot lost before the answer is sought before the caller is answered', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECT_MS: '300' } });
    const held = Promise.withResolvers<undefined>();
    lab.ari.before(/externalMedia/, () => held.promise);
    const channel = lab.ari.inbound();
    const session = await lab.session();
    lab.bot.decide = () => 503;
    session.close(1011);
    await until(() => lab.logged('bot lost, trying again').length > 0, 'the loss is seen');
    held.resolve(undefined);
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-lost');
    assert.equal(ended.answered, false);
    assert.deepEqual(channel.done, ['ring', 'continue']);
  });

  test('a bot that closes with 1000 before the answer, without a sound, was not there: the caller goes on in the dialplan', async (t) => {
    const lab = await Lab.start(t);
    const held = Promise.withResolvers<undefined>();
    lab.ari.before(/externalMedia/, () => held.promise);
    const channel = lab.ari.inbound();
    const session = await lab.session();
    session.close(1000);
    await until(() => session.closed !== undefined, 'closed');
    held.resolve(undefined);
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-unavailable');
    assert.equal(ended.answered, false);
    assert.equal(channel.continued, true);
  });

  test('bad messages are answered at most once a second and never end the call by themselves', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    const bad = [
      'no json',
      '{"event":"media"}',
      '{"event":"media","payload":"§§§§"}',
      '{"event":"media","payload":"AAAA","encoding":"opus"}',
      '{"event":"media","payload":"AAAA","sampleRate":44100}',
      '{"event":"mark"}',
      '{"event":"dtmf","digits":"E"}',
      Buffer.from([1, 2, 3]),
    ];
    for (const message of bad) session.send(message);
    session.speak(speech(2));
    const rtp = lab.ari.mediaOf(channel.id);
    await until(() => rtp.speech().length >= 320, 'the bot is still heard');
    assert.deepEqual(session.of('error'), [
      { event: 'error', code: 'not-json', message: 'the message is not JSON' },
    ]);
    lab.ari.hangUp(channel.id);
    const ended = (await lab.ended()) as unknown as { figures: { refusedMessages: object } };
    assert.deepEqual(ended.figures.refusedMessages, {
      'not-json': 1,
      'bad-field': 3,
      'bad-base64': 1,
      'wrong-encoding': 2,
      binary: 1,
    });
  });

  for (const [framing, dialect] of [
    ['json', 'native'],
    ['binary', 'native'],
    ['json', 'twilio'],
  ] as const)
    test(`what a ${dialect} bot says to others by JSON (${framing}) is neither answered nor counted, however much of it`, async (t) => {
      const lab = await Lab.start(t, {
        config: { BOT_MAX_BAD_MESSAGES: '3', PIPECAT_DIALECT: dialect, PIPECAT_FRAMING: framing },
      });
      const channel = lab.ari.inbound();
      const session = await lab.session();
      await until(() => channel.state === 'Up', 'the answer');
      for (let i = 0; i < 30; i++) {
        session.send({ label: 'rtvi-ai', type: 'bot-llm-text', data: { text: 'hello', event: 'hangup' } });
        session.send([{ event: 'hangup' }]);
        session.send({ event: 'from-the-future' });
        session.send({ event: null });
      }
      session.send(
        dialect === 'twilio' ? { event: 'mark', mark: { name: 'alive' } } : { event: 'mark', name: 'alive' },
      );
      await until(() => session.of('mark').length > 0, 'the bot is still in the call');
      assert.deepEqual(session.of('error'), []);
      lab.ari.hangUp(channel.id);
      const ended = (await lab.ended()) as unknown as {
        reason: object;
        figures: { refusedMessages: object };
      };
      assert.deepEqual(ended.reason, { kind: 'caller-hangup' });
      assert.deepEqual(ended.figures.refusedMessages, {});
    });

  for (const [what, message] of [
    ['unreadable', 'garbage'],
    ['binary', Buffer.alloc(10)],
    ['of a rate that is not taken', '{"event":"media","payload":"AAAA","sampleRate":44100}'],
    ['oversize', `{"event":"media","payload":"${'A'.repeat(5_000)}"}`],
  ] as const) {
    test(`a bot whose messages are all ${what} is closed with 1008, and the caller goes on in the dialplan`, async (t) => {
      const lab = await Lab.start(t, {
        config: { BOT_MAX_BAD_MESSAGES: '10', BOT_MAX_MESSAGE_BYTES: '4096' },
      });
      const { channel, session } = await lab.call();
      for (let i = 0; i < 12; i++) session.send(message);
      const ended = await lab.ended();
      assert.equal(ended.reason.kind, 'bot-misbehaved');
      await until(() => session.closed === 1008, 'close 1008');
      assert.equal(channel.continued, true);
    });
  }

  test('good messages between the bad ones keep the bot in the call', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_MAX_BAD_MESSAGES: '3' } });
    const { channel, session } = await lab.call();
    for (let i = 0; i < 10; i++) {
      session.send('garbage');
      session.send({ event: 'from-the-future' });
    }
    session.send({ event: 'mark', name: 'alive' });
    await until(() => session.of('mark').length > 0, 'the bot is still in the call');
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('a transfer by a provider that nobody knows is refused, not forgotten', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    session.send({ event: 'transfer', to: '+4930999' });
    await until(() => session.of('transfer').length > 0, 'a word about the transfer');
    assert.deepEqual(session.of('transfer')[0], {
      event: 'transfer',
      status: 'failed',
      reason: 'unknown-provider',
    });
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  // That it loses the oldest audio is shown where the test has the clock (media-flood.test.ts).
  test('a bot that stops reading while its caller floods does not keep the caller from being released in time', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_SEND_BUFFER_BYTES: '4096' } });
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    session.stopReading();
    const PAUSE_MS = 4;
    // The kernel takes megabytes before a socket is full.
    const packet = Buffer.alloc(1_200, 0x44);
    const sent = 6_000;
    for (let i = 0; i < sent; i++) {
      rtp.send(packet);
      // The socket's buffer holds a few hundred datagrams: more at once would be lost before the
      // bridge reads them.
      if (i % 50 === 0) await delay(PAUSE_MS);
    }
    lab.ari.hangUp(channel.id);
    const ended = (await lab.ended()) as unknown as { figures: { line: { early: number } } };
    session.resumeReading();
    assert.ok(ended.figures.line.early > 0);
    await until(() => session.closed !== undefined, 'the bot’s side notices');
  });
});

for (const dialect of ['native', 'twilio'] as const) {
  test(`what a ${dialect} bot sends in the packet of its handshake is answered after start`, async (t) => {
    const lab = await Lab.start(t, { config: { PIPECAT_DIALECT: dialect } });
    const mark = dialect === 'native' ? { name: 'early' } : { mark: { name: 'early' } };
    lab.bot.onSession = (session) => session.send({ event: 'mark', ...mark });
    const channel = lab.ari.inbound();
    const session = await lab.session();
    await until(() => session.of('mark').length > 0, 'the mark comes back');
    assert.deepEqual(
      session
        .order()
        .slice(-3)
        .filter((event) => /start|mark/.test(event)),
      ['start', 'mark'],
    );
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });
}
