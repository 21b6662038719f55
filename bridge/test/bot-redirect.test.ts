import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeBot } from './fake-bot.ts';
import { Lab } from './harness.ts';

const CONFIG = { BOT_CONNECT_TRIES: '1', PIPECAT_AUTHORIZATION: 'Bearer secret' };

describe("a bot's server that says that the bot is elsewhere", { concurrency: 4 }, () => {
  for (const status of [301, 302, 307, 308])
    test(`by ${status} on its own host is followed, with credentials`, async (t) => {
      const lab = await Lab.start(t, { config: CONFIG });
      lab.bot.decide = (attempt) => (attempt === 1 ? { status, location: '/there/?x=1' } : 'accept');
      const { channel, session } = await lab.call();
      assert.equal(session.request.url, '/there/?x=1');
      assert.equal(session.request.headers.authorization, 'Bearer secret');
      lab.ari.hangUp(channel.id);
      await lab.ended();
    });

  test('on another host is followed without credentials, there and back again', async (t) => {
    const lab = await Lab.start(t, { config: CONFIG });
    const other = await FakeBot.start();
    t.after(() => other.close());
    const seen: (string | undefined)[] = [];
    other.decide = (_, request) => {
      seen.push(request.headers.authorization);
      return { status: 307, location: lab.bot.url };
    };
    lab.bot.decide = (attempt, request) => {
      seen.push(request.headers.authorization);
      return attempt === 1 ? { status: 307, location: other.url.replace('ws:', 'http:') } : 'accept';
    };
    const { channel } = await lab.call();
    assert.deepEqual(seen, ['Bearer secret', undefined, undefined]);
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });

  test('over and over is given up', async (t) => {
    const lab = await Lab.start(t, { config: CONFIG });
    lab.bot.decide = () => ({ status: 302, location: '/again' });
    const channel = lab.ari.inbound();
    const ended = await lab.ended();
    assert.deepEqual(ended.reason, { kind: 'bot-unavailable', detail: 'too many redirects' });
    assert.equal(lab.bot.attempts, 4);
    assert.equal(channel.continued, true);
  });

  test('and names no place is a server that refuses', async (t) => {
    const lab = await Lab.start(t, { config: CONFIG });
    lab.bot.decide = () => ({ status: 307, location: 'gopher://there' });
    lab.ari.inbound();
    assert.deepEqual((await lab.ended()).reason, {
      kind: 'bot-unavailable',
      detail: 'Unexpected server response: 307',
    });
  });
});
