import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, speech, until } from './harness.ts';

test('with binary framing audio crosses as it is, both ways, and start says so', async (t) => {
  const lab = await Lab.start(t, { config: { PIPECAT_FRAMING: 'binary' } });
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  assert.equal(session.of('start')[0]?.framing, 'binary');
  const caller = speech(1, 3);
  rtp.send(caller);
  await until(() => session.binary.some((frame) => frame.equals(caller)), 'the caller at the bot');
  assert.equal(session.of('media').length, 0);
  session.send(speech(10));
  session.send({ event: 'hangup' });
  await lab.ended();
  assert.deepEqual(rtp.speech(), speech(10));
});

test('the bot learns how much its clear has cut', async (t) => {
  const lab = await Lab.start(t);
  const { session } = await lab.call();
  session.speak(speech(100));
  session.send({ event: 'clear' });
  const cleared = await until(() => session.of('cleared')[0], 'cleared');
  // A tick or two may have come between the two messages.
  assert.ok(Number(cleared.ms) > 1_800 && Number(cleared.ms) <= 2_000, String(cleared.ms));
  session.send({ event: 'clear' });
  await until(() => session.of('cleared')[1]?.ms === 0, 'nothing more to cut');
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
});
