import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Lab, speech } from './harness.ts';

const silence = Buffer.alloc(160 * 10, 0xff);

describe('a bot that leaves before it was heard', { concurrency: 6 }, () => {
  for (const [how, code] of [
    ['1000', 1000],
    ['no code', undefined],
  ] as const) {
    test(`was not there: it closes with ${how} at once, and the caller is not answered but goes on in the dialplan`, async (t) => {
      const lab = await Lab.start(t, { config: { BOT_REFUSAL_MS: '1000' } });
      lab.bot.onSession = (session) => session.close(code);
      const channel = lab.ari.inbound();
      const ended = await lab.ended();
      assert.equal(ended.reason.kind, 'bot-unavailable');
      assert.match(ended.reason.detail ?? '', /^the bot was not heard: closed with 100[05]$/);
      assert.equal(ended.answered, false);
      assert.deepEqual(channel.done, ['ring', 'continue']);
      assert.equal(channel.variables.PIPECAT_STATUS, 'bot-unavailable');
      assert.equal(lab.bot.attempts, 1);
    });

    test(`and has sent silence only was not there: closed with ${how}`, async (t) => {
      const lab = await Lab.start(t, { config: { BOT_REFUSAL_MS: '1000' } });
      lab.bot.onSession = (session) => {
        session.speak(silence);
        session.close(code);
      };
      const channel = lab.ari.inbound();
      const ended = await lab.ended();
      assert.equal(ended.reason.kind, 'bot-unavailable');
      assert.deepEqual(channel.done, ['ring', 'continue']);
    });

    test(`in an answered call was not there either: closed with ${how}, the caller goes on in the dialplan`, async (t) => {
      const lab = await Lab.start(t);
      const { channel, session } = await lab.call();
      session.close(code);
      assert.equal((await lab.ended()).reason.kind, 'bot-unavailable');
      assert.equal(channel.continued, true);
      assert.equal(lab.bot.attempts, 1);
    });

    test(`and one that was heard has hung up by closing with ${how}`, async (t) => {
      const lab = await Lab.start(t);
      const { channel, session } = await lab.call();
      const rtp = lab.ari.mediaOf(channel.id);
      session.speak(speech(5));
      session.close(code);
      assert.equal((await lab.ended()).reason.kind, 'bot-closed');
      assert.deepEqual(rtp.speech(), speech(5));
      assert.equal(channel.continued, false);
      assert.equal(lab.bot.attempts, 1);
    });
  }

  for (const dialect of ['native', 'twilio'])
    for (const message of [{ event: 'hangup' }, { event: 'hangup', immediate: true }])
      test(`has refused the call: the caller is not answered (${dialect}, ${JSON.stringify(message)})`, async (t) => {
        const lab = await Lab.start(t, { config: { BOT_REFUSAL_MS: '1000', PIPECAT_DIALECT: dialect } });
        lab.bot.onSession = (session) => {
          session.speak(silence);
          session.send(message);
        };
        const channel = lab.ari.inbound();
        const ended = await lab.ended();
        assert.match(ended.reason.kind, /^bot-hangup/);
        assert.equal(ended.answered, false);
        assert.deepEqual(channel.done, ['ring']);
        assert.equal(lab.ari.channels.has(channel.id), false);
      });

  test('has ordered a transfer: it was there', async (t) => {
    const lab = await Lab.start(t);
    const { session } = await lab.call();
    session.send({ event: 'transfer', to: '+4930999' });
    session.close(1000);
    assert.equal((await lab.ended()).reason.kind, 'bot-closed');
  });
});
