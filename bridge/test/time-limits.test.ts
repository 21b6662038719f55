import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, until } from './harness.ts';

test('hold: the bot is told, and the media time-out waits', async (t) => {
  const lab = await Lab.start(t, { config: { MEDIA_TIMEOUT_MS: '300' } });
  const { channel, session } = await lab.call();
  lab.ari.emit('ChannelHold', { channel: lab.ari.show(channel) });
  await until(() => session.of('hold').length > 0, 'hold');
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(lab.logged('call ended').length, 0);
  lab.ari.emit('ChannelUnhold', { channel: lab.ari.show(channel) });
  await until(() => session.of('unhold').length > 0, 'unhold');
  assert.equal((await lab.ended()).reason.kind, 'media-timeout');
});

test('the bot is warned before the longest call ends', async (t) => {
  const lab = await Lab.start(t, { config: { MAX_CALL_DURATION_S: '2', MAX_DURATION_WARNING_S: '1' } });
  const { session } = await lab.call();
  await until(() => session.of('limit').length > 0, 'a warning');
  assert.deepEqual(session.of('limit'), [{ event: 'limit', kind: 'max-duration', remainingMs: 1000 }]);
  assert.equal((await lab.ended()).reason.kind, 'max-duration');
});

test('a call in which nobody says anything ends after SILENCE_LIMIT_S', async (t) => {
  const lab = await Lab.start(t, { config: { SILENCE_LIMIT_S: '1', MEDIA_TIMEOUT_MS: '0' } });
  const { session } = await lab.call();
  const fromMs = performance.now();
  session.speak(Buffer.alloc(25 * 160, 0x10));
  assert.equal((await lab.ended()).reason.kind, 'silence');
  assert.ok(performance.now() - fromMs > 1_400, 'counted from the last word');
});
