import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, speech, until } from './harness.ts';

// Asterisk hides a caller's new source: it gives its own packets one run of numbers. Only here can it be seen that the bridge needs no such help.
test('a source that changes in mid-call, with new numbers and timestamps, is heard on without a gap, and counted', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  const said = speech(40);
  for (let at = 0; at < said.length; at += 160) {
    if (at === 20 * 160) rtp.changeSource();
    rtp.send(said.subarray(at, at + 160));
  }
  const heard = () =>
    Buffer.concat(session.of('media').map(({ payload }) => Buffer.from(String(payload), 'base64')));
  await until(() => heard().length >= said.length, 'all of it');
  assert.deepEqual(heard().subarray(0, said.length), said);
  session.send({ event: 'hangup', immediate: true });
  const { figures } = (await lab.ended()) as unknown as { figures: { line: Record<string, number> } };
  assert.partialDeepStrictEqual(figures.line, { packetsReceived: 40, ssrcChanges: 1, lost: 0, late: 0 });
});
