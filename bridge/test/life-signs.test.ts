/** A caller who sends no audio, but other packets, which Asterisk counts and does not pass on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FakeChannel } from './fake-channel.ts';
import { Lab, until } from './harness.ts';

const MEDIA_TIMEOUT_MS = '600';

/** What one sign of life moves. */
const SIGNS: Readonly<Record<string, (statistics: Record<string, number>) => void>> = {
  'comfort noise or empty packets': (statistics) => {
    statistics.rxcount = (statistics.rxcount ?? 0) + 1;
  },
  'RTCP reports': (statistics) => {
    statistics.rtt = (statistics.rtt ?? 0) + 0.001;
  },
};

for (const [about, move] of Object.entries(SIGNS)) {
  test(`${about}: the call goes on, and ends when nothing at all comes`, async (t) => {
    const lab = await Lab.start(t, { config: { MEDIA_TIMEOUT_MS } });
    const { channel } = await lab.call();
    const statistics: Record<string, number> = { rxcount: 50, txcount: 1, rtt: 0.01, rxploss: 0 };
    channel.statistics = statistics;
    const alive = setInterval(() => move(statistics), 100);
    await delay(2_000);
    clearInterval(alive);
    assert.equal(lab.logged('call ended').length, 0);
    const ceasedMs = performance.now();
    // What Asterisk itself does is no sign of life.
    const own = setInterval(() => {
      statistics.txcount = (statistics.txcount ?? 0) + 5;
      statistics.rxploss = Math.random();
    }, 50);
    const ended = await lab.ended();
    clearInterval(own);
    assert.equal(ended.reason.kind, 'media-timeout');
    const passedMs = performance.now() - ceasedMs;
    assert.ok(passedMs > 300 && passedMs < 1_800, `after ${passedMs} ms`);
  });
}

test('where Asterisk does not say, no audio is no life', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_TIMEOUT_MS } });
  lab.ari.before(/rtp_statistics/, () => 404);
  await lab.call();
  assert.equal((await lab.ended()).reason.kind, 'media-timeout');
});

test('a caller who holds while Asterisk is asked is not cut', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_TIMEOUT_MS } });
  const { channel } = await lab.call();
  const show = (held: FakeChannel) => ({ channel: lab.ari.show(held) });
  const asked = new Promise<void>((resolve) => {
    let questions = 0;
    lab.ari.before(/rtp_statistics/, async () => {
      questions += 1;
      if (questions < 2) return undefined;
      lab.ari.emit('ChannelHold', show(channel));
      resolve();
      await delay(100);
      return undefined;
    });
  });
  await asked;
  await delay(300);
  assert.equal(lab.logged('call ended').length, 0);
  lab.ari.hangUp(channel.id);
  await until(() => lab.logged('call ended')[0], 'the end');
});

test('who took the caller’s place is asked, not the channel that is gone', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_TIMEOUT_MS } });
  const { channel } = await lab.call();
  const newcomer = lab.ari.add({ state: 'Up', inStasis: true });
  const replaced = lab.ari.show(channel);
  lab.ari.emit('StasisStart', { channel: lab.ari.show(newcomer), args: [], replace_channel: replaced });
  await until(() => !lab.ari.channels.has(channel.id), 'the old leg is hung up');
  const statistics = { rxcount: 50 };
  newcomer.statistics = statistics;
  const alive = setInterval(() => {
    statistics.rxcount += 1;
  }, 100);
  await delay(2_000);
  clearInterval(alive);
  assert.equal(lab.logged('call ended').length, 0);
  lab.ari.hangUp(newcomer.id);
  assert.equal((await lab.ended()).reason.kind, 'caller-hangup');
});
