import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BotSession } from './fake-bot.ts';
import { Lab, speech, until } from './harness.ts';

const CONFIG = { BOT_END_SILENCE_MS: '300', BOT_RECONNECT_MS: '5000' };

/** So much silence in one message, in an encoding of the wire. */
const SILENCES: Readonly<Record<string, (session: BotSession, ms: number) => void>> = {
  'native, pcmu': (session, ms) => session.speak(Buffer.alloc(8 * ms, 0xff)),
  'native, pcm16 at 24000 Hz': (session, ms) =>
    session.speak(Buffer.alloc(48 * ms), { encoding: 'pcm16', sampleRate: 24_000 }),
  'native, raw': (session, ms) => session.send(Buffer.alloc(8 * ms, 0xff)),
  twilio: (session, ms) =>
    session.send({ event: 'media', media: { payload: Buffer.alloc(8 * ms, 0xff).toString('base64') } }),
};

function settings(kind: string): Record<string, string> {
  return {
    ...CONFIG,
    PIPECAT_DIALECT: kind === 'twilio' ? 'twilio' : 'native',
    PIPECAT_FRAMING: kind === 'native, raw' ? 'binary' : 'json',
  };
}

function say(session: BotSession, kind: string): void {
  const goodbye = speech(5);
  if (kind === 'native, raw') session.send(goodbye);
  else if (kind === 'twilio')
    session.send({ event: 'media', media: { payload: goodbye.toString('base64') } });
  else session.speak(goodbye);
}

describe("a stock bot's end", { concurrency: 8 }, () => {
  for (const [kind, silence] of Object.entries(SILENCES)) {
    test(`is 2 s of silence and then nothing, the socket open: the call ends soon (${kind})`, async (t) => {
      const lab = await Lab.start(t, { config: settings(kind) });
      const channel = lab.ari.inbound();
      const session = await lab.session();
      await until(() => channel.state === 'Up', 'the answer');
      say(session, kind);
      silence(session, 1_950);
      // Of the bot's pipeline, not of the bot: RTVI.
      session.send({ label: 'rtvi-ai', type: 'bot-stopped-speaking' });
      const ended = await lab.ended();
      assert.deepEqual(ended.reason, {
        kind: 'bot-closed',
        detail: "a long silence, then nothing for 300 ms: a bot's end",
      });
      assert.equal(lab.ari.channels.has(channel.id), false);
      await until(() => session.closed !== undefined, 'the bot is let go');
      assert.equal(lab.bot.attempts, 1);
    });

    test(`is 2 s of silence and an abnormal close: it is not sought again (${kind})`, async (t) => {
      const lab = await Lab.start(t, { config: { ...settings(kind), BOT_END_SILENCE_MS: '60000' } });
      const channel = lab.ari.inbound();
      const session = await lab.session();
      await until(() => channel.state === 'Up', 'the answer');
      say(session, kind);
      silence(session, 2_000);
      await delay(50);
      session.cut();
      assert.equal((await lab.ended()).reason.kind, 'bot-closed');
      assert.equal(lab.bot.attempts, 1);
    });
  }

  for (const [what, end] of [
    ['breaks', (session: BotSession) => session.cut()],
    ['is closed with 1001', (session: BotSession) => session.close(1001)],
  ] as const)
    test(`is its hang-up, and its socket then ${what}: it is not sought again while its last words are played`, async (t) => {
      const lab = await Lab.start(t, { config: CONFIG });
      const { channel, session } = await lab.call();
      const rtp = lab.ari.mediaOf(channel.id);
      const words = speech(50);
      session.speak(words);
      session.send({ event: 'hangup' });
      await until(() => rtp.speech().length > 0, 'the first words');
      end(session);
      assert.equal((await lab.ended()).reason.kind, 'bot-hangup');
      assert.equal(lab.bot.attempts, 1);
      assert.equal(rtp.speech().subarray(-160).equals(words.subarray(-160)), true, 'the last word was heard');
    });

  for (const [what, sign] of [
    ['a word', (session: BotSession) => session.speak(speech(1))],
    ['a mark', (session: BotSession) => session.send({ event: 'mark', name: 'alive' })],
    ['a clear', (session: BotSession) => session.send({ event: 'clear' })],
    ['a short silence', (session: BotSession) => session.speak(Buffer.alloc(160, 0xff))],
  ] as const)
    test(`is no end with ${what} after it: the call goes on, and a lost bot is sought`, async (t) => {
      const lab = await Lab.start(t, { config: CONFIG });
      const { channel, session } = await lab.call();
      session.speak(speech(5));
      session.speak(Buffer.alloc(8 * 2_000, 0xff));
      sign(session);
      await delay(2_600);
      assert.equal(lab.logged('call ended').length, 0);
      session.cut();
      await lab.session(1);
      lab.ari.hangUp(channel.id);
      assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
    });

  for (const [what, audio] of [
    ['1.8 s of silence', Buffer.alloc(8 * 1_800, 0xff)],
    ['a sentence with 2 s of silence behind it', Buffer.concat([speech(20), Buffer.alloc(8 * 2_000, 0xff)])],
  ] as const)
    test(`is not ${what}`, async (t) => {
      const lab = await Lab.start(t, { config: CONFIG });
      const { channel, session } = await lab.call();
      session.speak(speech(5));
      session.speak(audio);
      await delay(3_200);
      assert.equal(lab.logged('call ended').length, 0);
      lab.ari.hangUp(channel.id);
      await lab.ended();
    });

  test('is not looked for with BOT_END_SILENCE_MS=0', async (t) => {
    const lab = await Lab.start(t, { config: { ...CONFIG, BOT_END_SILENCE_MS: '0' } });
    const { channel, session } = await lab.call();
    session.speak(Buffer.alloc(8 * 2_000, 0xff));
    await delay(100);
    session.cut();
    await lab.session(1);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('a bot that is lost again and again is connected again as often as allowed, and then given up', async (t) => {
    const lab = await Lab.start(t, { config: { BOT_RECONNECTS_MAX: '2', BOT_RECONNECT_MS: '9000' } });
    const { channel } = await lab.call();
    for (let i = 0; i < 3; i++) {
      const session = await until(
        () => lab.bot.sessions[i]?.of('answered')[0] && lab.bot.sessions[i],
        'a bot',
      );
      session.cut();
    }
    const ended = await lab.ended();
    assert.equal(ended.reason.kind, 'bot-lost');
    assert.match(ended.reason.detail ?? '', /after 2 reconnections$/);
    assert.equal(lab.bot.attempts, 3);
    assert.equal(channel.continued, true);
  });
});
