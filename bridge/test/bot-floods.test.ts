/** Slow on purpose: `make test` runs it, `make check` does not. */
// This file runs in a process of its own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BotSession } from './fake-bot.ts';
import { Lab, speech, until } from './harness.ts';

/** So little that a test of milliseconds is a flood. */
const SMALL = {
  BOT_MESSAGES_PER_SECOND: '50',
  BOT_CONTROLS_PER_SECOND: '20',
  BOT_BYTES_PER_SECOND: '65536',
  BOT_BURST_S: '2',
  BOT_OVER_BUDGET_MS: '200',
};
const KIND = 'bot-misbehaved';
const silence = (bytes: number) => Buffer.alloc(bytes, 0x41).toString('utf8');

/** A frame of a server, made by hand (RFC 6455 section 5.2). */
function frame(first: number, payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload);
  assert.ok(bytes.length < 126);
  return Buffer.concat([Buffer.of(first, bytes.length), bytes]);
}

const floods: readonly (readonly [string, (session: BotSession) => void])[] = [
  ['clear', (session) => session.send({ event: 'clear' })],
  ['mark', (session) => session.send({ event: 'mark', name: 'm' })],
  ['events that nobody knows', (session) => session.send({ event: 'from-the-future' })],
  ['JSON that is not for us', (session) => session.send({ label: 'rtvi-ai', type: 'x' })],
  ['tiny media', (session) => session.send({ event: 'media', payload: 'AAAA' })],
  ['empty messages', (session) => session.send('')],
  ['pings', (session) => session.ping()],
  ['tiny fragments', (session) => session.sendFragments('{"event"', ':', '"clear"', '}')],
  ['big media', (session) => session.send({ event: 'media', payload: silence(400_000) })],
  ['nested JSON', (session) => session.send('['.repeat(200_000))],
  ['oversize messages', (session) => session.send('x'.repeat(5_000_000))],
];

describe('a bot that sends without end', { concurrency: 4 }, () => {
  for (const [what, flood] of floods) {
    test(`${what}: is held back, then closed with 1008; its call ends and another one does not`, async (t) => {
      const lab = await Lab.start(t, { config: { ...SMALL, BOT_MAX_BAD_MESSAGES: '100000' } });
      const { channel: other, session: good } = await lab.call();
      const { channel, session } = await lab.call();
      const flooding = setInterval(() => {
        for (let i = 0; i < 20; i++) flood(session);
      }, 5);
      t.after(() => clearInterval(flooding));
      const ended = await lab.ended();
      clearInterval(flooding);
      assert.deepEqual(ended.reason, {
        kind: KIND,
        detail: 'we closed with 1008: more messages or bytes than a bot may send',
      });
      await until(() => session.closed !== undefined, 'the socket is closed');
      assert.equal(channel.continued, true);
      const { botPauses, botPausedMs } = (ended as unknown as { figures: Record<string, number> }).figures;
      assert.ok(Number(botPauses) > 0 && Number(botPausedMs) > 0);
      assert.equal(session.of('error').filter(({ code }) => code === 'over-budget').length >= 1, true);
      assert.equal(lab.logged('call ended').length, 1, 'one end of one call');
      good.speak(speech(3));
      good.send({ event: 'mark', name: 'heard' });
      await until(() => good.of('mark').length > 0, 'the other call goes on');
      lab.ari.hangUp(other.id);
      await until(() => lab.logged('call ended').length === 2, 'the end of the other call');
    });
  }

  test('a burst within the allowance is taken whole, and nothing is said of it', async (t) => {
    const lab = await Lab.start(t);
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    const words = speech(150);
    for (let at = 0; at < words.length; at += 320) session.speak(words.subarray(at, at + 320));
    for (let i = 0; i < 100; i++) session.send({ event: 'mark', name: `m${i}` });
    await until(() => session.of('mark').length === 100, 'all marks');
    assert.equal(session.of('error').length, 0);
    // A mark is told as its last frame is sent: the datagram may still be on its way.
    await delay(100);
    const heard = rtp.speech();
    lab.ari.hangUp(channel.id);
    const ended = (await lab.ended()) as unknown as { figures: { botPauses: number; skippedFrames: number } };
    assert.equal(ended.figures.botPauses, 0);
    // A machine that stands still loses frames. They are counted; the audio between them is exact.
    const missing = words.length - heard.length;
    assert.ok(missing >= 0 && missing <= ended.figures.skippedFrames * 160, `${missing} bytes are missing`);
    if (ended.figures.skippedFrames === 0) assert.deepEqual(heard, words);
  });

  test('a burst beyond the allowance is late, not lost', async (t) => {
    const lab = await Lab.start(t, { config: { ...SMALL, BOT_OVER_BUDGET_MS: '60000' } });
    const { channel, session } = await lab.call();
    for (let i = 0; i < 60; i++) session.send({ event: 'mark', name: `m${i}` });
    await until(() => session.of('mark').length === 60, 'all marks');
    assert.deepEqual(
      session.of('mark').map(({ name }) => name),
      Array.from({ length: 60 }, (_, i) => `m${i}`),
    );
    lab.ari.hangUp(channel.id);
    const ended = (await lab.ended()) as unknown as { figures: { botPausedMs: number } };
    assert.ok(ended.figures.botPausedMs > 0);
    assert.match((await lab.get('/metrics')).body, /figure="bot_pauses"\} [1-9]/);
  });

  for (const [what, message] of [
    ['dtmf', { event: 'dtmf', digits: '1' }],
    ['transfer', { event: 'transfer', to: '+4930999' }],
    ['recording', { event: 'recording', state: 'pause' }],
  ] as const) {
    test(`${what}: Asterisk and the log hear a few, the bot is told, and its hang-up still counts`, async (t) => {
      const lab = await Lab.start(t, { config: { BOT_ORDERS_PER_SECOND: '1', BOT_BURST_S: '3' } });
      const { session } = await lab.call();
      for (let i = 0; i < 40; i++) session.send(message);
      const error = await until(() => session.of('error')[0], 'an error');
      assert.equal(error.code, 'over-budget');
      const answers = session.of('transfer').length + session.of('recording').length;
      assert.ok(answers <= 4, `${answers} answers`);
      session.send({ event: 'hangup' });
      const ended = (await lab.ended()) as unknown as {
        reason: { kind: string };
        figures: { refusedMessages: Record<string, number> };
      };
      assert.equal(ended.reason.kind, 'bot-hangup');
      assert.ok(Number(ended.figures.refusedMessages['over-budget']) >= 36);
    });
  }

  test('marks without reading what comes back: closed with 1008 before the replies pile up', async (t) => {
    const lab = await Lab.start(t, {
      config: { BOT_CONTROLS_PER_SECOND: '1000000', BOT_MESSAGES_PER_SECOND: '1000000' },
    });
    const { session } = await lab.call();
    session.stopReading();
    const name = 'm'.repeat(250);
    const flooding = setInterval(() => {
      for (let i = 0; i < 500; i++) session.send({ event: 'mark', name });
    }, 5);
    t.after(() => clearInterval(flooding));
    const ended = await lab.ended();
    clearInterval(flooding);
    assert.deepEqual(ended.reason, {
      kind: KIND,
      detail: 'we closed with 1008: the bot does not read what it is told',
    });
    session.resumeReading();
    await until(() => session.closed !== undefined, 'the bot’s side notices');
  });
});

describe('a frame that is too long', { concurrency: 4 }, () => {
  for (const [what, header] of [
    ['60 MB', '817f0000000003938700'],
    ['2^63 bytes', '827fffffffffffffffff'],
  ] as const) {
    test(`of ${what} is refused at its header: we close with 1009, and the record says so`, async (t) => {
      const lab = await Lab.start(t);
      const { channel, session } = await lab.call();
      session.write(Buffer.from(header, 'hex'));
      const ended = await lab.ended();
      assert.equal(ended.reason.kind, KIND);
      assert.match(ended.reason.detail ?? '', /^we closed with 1009: a message of \d+ bytes$/);
      await until(() => session.closed === 1009, 'close 1009');
      assert.equal(lab.bot.attempts, 1, 'no reconnection');
      assert.equal(channel.continued, true);
    });
  }

  test('in pieces is refused as soon as they are too long', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_MAX_MESSAGE_BYTES: '100000' } });
    const { session } = await lab.call();
    session.sendFragments('x'.repeat(60_000), 'x'.repeat(60_000));
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, KIND);
    assert.match(ended.reason.detail ?? '', /^we closed with 1009: /);
    await until(() => session.closed === 1009, 'close 1009');
  });

  test('a little too long is passed over without being kept, and the call goes on', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_MAX_MESSAGE_BYTES: '100000' } });
    const { channel, session } = await lab.call();
    session.send('x'.repeat(300_000));
    session.send({ event: 'mark', name: 'after' });
    await until(() => session.of('mark').length === 1, 'the next message');
    assert.equal(session.of('error')[0]?.code, 'oversize');
    lab.ari.hangUp(channel.id);
    const ended = (await lab.ended()) as unknown as { figures: { refusedMessages: object } };
    assert.deepEqual(ended.figures.refusedMessages, { oversize: 1 });
  });

  for (const [what, bytes] of [
    ['masked', Buffer.concat([Buffer.of(0x81, 0x85, 1, 2, 3, 4), Buffer.from('hello')])],
    ['compressed', frame(0xc1, 'hello')],
    ['of an opcode that nobody knows', frame(0x83, 'hello')],
  ] as const) {
    test(`a frame that is ${what} ends the connection with 1002, and the bot is sought again`, async (t) => {
      const lab = await Lab.start(t);
      const { channel, session } = await lab.call();
      session.write(bytes);
      const second = await lab.session(1);
      assert.equal(session.closed, 1002);
      assert.match(String(lab.logged('bot lost, trying again')[0]?.detail), /^we closed with 1002: /);
      await until(() => second.of('answered').length > 0, 'answered again');
      lab.ari.hangUp(channel.id);
      await lab.ended();
    });
  }
});

describe('audio', { concurrency: 4 }, () => {
  test('of three megabytes in one message is heard from its beginning, and what comes behind it waits', async (t) => {
    const lab = await Lab.start(t, { config: { PLAYOUT_QUEUE_MS: '600000' } });
    const { channel, session } = await lab.call();
    const rtp = lab.ari.mediaOf(channel.id);
    const words = speech(10_000);
    session.speak(words);
    session.send({ event: 'clear' });
    const cleared = await until(() => session.of('cleared')[0], 'cleared');
    const playedMs = 200_000 - Number(cleared.ms);
    assert.ok(playedMs >= 0 && playedMs < 5_000, `${cleared.ms} ms`);
    session.speak(words.subarray(0, 1600));
    await until(() => rtp.speech().includes(words.subarray(0, 1600)), 'heard');
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('beyond PLAYOUT_QUEUE_MS is dropped with a word: an error with its ms, a mark that is no echo, the record', async (t) => {
    const lab = await Lab.start(t, { config: { PLAYOUT_QUEUE_MS: '1000' } });
    const { channel, session } = await lab.call();
    session.speak(speech(75));
    session.send({ event: 'mark', name: 'torn' });
    session.send({ event: 'mark', name: 'whole' });
    await until(() => session.of('mark').length === 2, 'both marks');
    assert.deepEqual(session.of('mark'), [
      { event: 'mark', name: 'torn', cleared: true },
      { event: 'mark', name: 'whole' },
    ]);
    assert.deepEqual(
      session.of('error').map(({ code, ms }) => [code, ms]),
      [['overflow', 500]],
    );
    lab.ari.hangUp(channel.id);
    await lab.ended();
    const record = await until(() => lab.logged('call record')[0] ?? lab.logged('record')[0], 'the record');
    assert.match(JSON.stringify(record), /"overflowMs":500/);
  });
});
