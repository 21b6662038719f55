import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { encoded, speechLike } from '../bot-check/speech-like.ts';
import { Lab, speech, until } from './harness.ts';
import { providersDirectory } from './providers-directory.ts';

/** A daemon whose provider holds the playout for `holdMs` when its callers speak into it. */
async function start(t: TestContext, holdMs: number): Promise<Lab> {
  const directory = providersDirectory(
    t,
    `BARGE_IN_HOLD_MS=${holdMs}\nCOUNTRY_CODE=49\nTRANSFER_METHOD=bridge\n`,
  );
  return Lab.start(t, { config: { PROVIDERS_DIR: directory } });
}

const CALLER = encoded(speechLike(3, 1000, -15, 130), 'pcmu');

/** A call in which the bot has spoken `frames` frames and the caller now speaks into them. */
async function interrupted(lab: Lab, frames: number) {
  const { channel, session } = await lab.call({ variables: { INBOUND_PROVIDER: 'pb_fintech' } });
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(frames));
  await until(() => rtp.speech().length > 0, 'the bot to be heard');
  for (let at = 0; at < 20 * 160; at += 160) rtp.send(CALLER.subarray(at, at + 160));
  await until(() => session.of('speech')[0], 'the bot to be told');
  return { rtp, session };
}

test('a caller who speaks into the bot holds it up until the bot resumes: nothing is lost', async (t) => {
  const lab = await start(t, 10_000);
  const { rtp, session } = await interrupted(lab, 30);
  assert.equal(session.of('speech')[0]?.state, 'start');
  const heard = rtp.speech().length;
  assert.ok(heard < 30 * 160);
  session.send({ event: 'resume' });
  await until(() => rtp.speech().length === 30 * 160, 'all of it');
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
});

test('without a word from the bot it goes on by itself', async (t) => {
  const lab = await start(t, 100);
  const { rtp, session } = await interrupted(lab, 30);
  await until(() => rtp.speech().length === 30 * 160, 'all of it');
  session.send({ event: 'hangup', immediate: true });
  await lab.ended();
});

for (const [what, last, reason] of [
  ['a goodbye', { event: 'hangup' }, 'bot-hangup'],
  ['a close', undefined, 'bot-closed'],
] as const)
  for (const when of ['before', 'after'] as const)
    test(`the last words are heard in full where the caller speaks into them: ${what}, ${when} they began`, async (t) => {
      const lab = await start(t, 10_000);
      const { channel, session } = await lab.call({ variables: { INBOUND_PROVIDER: 'pb_fintech' } });
      const rtp = lab.ari.mediaOf(channel.id);
      const caller = () => {
        for (let at = 0; at < 20 * 160; at += 160) rtp.send(CALLER.subarray(at, at + 160));
      };
      const leave = () => (last === undefined ? session.close(1000) : session.send(last));
      session.speak(speech(60));
      if (when === 'after') leave();
      await until(() => rtp.speech().length > 0, 'the bot to be heard');
      caller();
      if (when === 'before') {
        await until(() => session.of('speech')[0], 'the hold');
        leave();
      }
      const ended = await lab.ended();
      assert.equal(ended.reason.kind, reason);
      assert.equal(rtp.speech().length, 60 * 160);
    });

test('what the bot says before a transfer is heard in full where the caller speaks into it', async (t) => {
  const lab = await start(t, 10_000);
  const { channel, session } = await lab.call({ variables: { INBOUND_PROVIDER: 'pb_fintech' } });
  const rtp = lab.ari.mediaOf(channel.id);
  session.speak(speech(60));
  session.send({ event: 'transfer', to: '+4930999', provider: 'pb_fintech' });
  await until(() => rtp.speech().length > 0, 'the bot to be heard');
  for (let at = 0; at < 20 * 160; at += 160) rtp.send(CALLER.subarray(at, at + 160));
  await until(() => rtp.speech().length === 60 * 160, 'all of it', 3_000);
  lab.ari.hangUp(channel.id);
  await lab.ended();
});
