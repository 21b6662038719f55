import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lab, speech, until } from './harness.ts';

// Asterisk hides a new source of the caller: it numbers its own packets continuously. Only this
// test shows that the bridge does not depend on that.
test('a source that changes in mid-call, with new numbers and timestamps, is heard on without a gap, and counted', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  const said = speech(40);
  const beganMs = performance.now();
  for (let frame = 0; frame < 40; frame++) {
    if (frame === 20) rtp.changeSource();
    // A little ahead of time, so that the test may be late: by more the bridge would drop it.
    await until(() => performance.now() - beganMs >= (frame - 8) * 20, 'time');
    rtp.send(said.subarray(frame * 160, frame * 160 + 160));
  }
  const heard = () => {
    const frames = session.of('media').map(({ payload }) => Buffer.from(String(payload), 'base64'));
    // Before and behind it there is silence.
    const isSpeech = (frame: Buffer) => frame.some((byte) => byte !== 0xff);
    return Buffer.concat(frames.slice(frames.findIndex(isSpeech), frames.findLastIndex(isSpeech) + 1));
  };
  await until(() => heard().length >= said.length, 'all of it');
  assert.deepEqual(heard(), said);
  session.send({ event: 'hangup', immediate: true });
  const { figures } = (await lab.ended()) as unknown as { figures: { line: Record<string, number> } };
  assert.partialDeepStrictEqual(figures.line, { packetsReceived: 40, ssrcChanges: 1, lost: 0, late: 0 });
});
