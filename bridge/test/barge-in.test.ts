import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encoded, speechLike } from '../src/audio/speech-like.ts';
import { Lab, speech, until } from './harness.ts';

/** A daemon whose provider holds the playout for `holdMs` when its callers speak into it. */
async function start(t: TestContext, holdMs: number): Promise<Lab> {
  const directory = mkdtempSync(join(tmpdir(), 'providers-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'pb_fintech.env'), `BARGE_IN_HOLD_MS=${holdMs}\n`);
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
