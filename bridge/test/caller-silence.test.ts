/** A bot hears its caller from the answer on, every 20 ms, also while Asterisk sends nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BotSession } from './fake-bot.ts';
import { Lab, speech, until } from './harness.ts';
import { wideband } from './wideband.ts';

const FRAME_MS = 20;

/** Bytes of each media message so far, by either dialect. */
function mediaBytes(session: BotSession): number[] {
  return session.of('media').map((message) => {
    const { payload } = (message.media ?? message) as { payload: string };
    return Buffer.from(payload, 'base64').length;
  });
}

for (const dialect of ['native', 'twilio'] as const) {
  test(`${dialect}: before the caller's first packet, and with no more and no less than time has passed after it`, async (t) => {
    const lab = await Lab.start(t, { config: { PIPECAT_DIALECT: dialect } });
    const channel = lab.ari.inbound();
    const session = await lab.session();
    await until(() => session.of('media').length > 0, 'the first frame');
    const beganMs = performance.now() - FRAME_MS;
    await until(() => session.of('media').length >= 30, 'silence');
    const expected = () => (performance.now() - beganMs) / FRAME_MS;
    assert.ok(Math.abs(session.of('media').length - expected()) <= 8, 'one every 20 ms');
    const { body } = await lab.get('/metrics');
    assert.match(body, /calls_active 1/);
    const rtp = lab.ari.mediaOf(channel.id);
    for (let i = 0; i < 25; i++) {
      rtp.send(speech(1, i));
      await delay(FRAME_MS);
    }
    const bytes = mediaBytes(session);
    assert.deepEqual([...new Set(bytes)], [160]);
    assert.ok(
      Math.abs(bytes.length - expected()) <= 8,
      `${bytes.length} frames in ${expected()} times 20 ms`,
    );
    lab.ari.hangUp(channel.id);
    await lab.ended();
  });
}

test('the caller who says nothing has no first audio', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  await until(() => session.of('media').length > 10, 'silence');
  lab.ari.hangUp(channel.id);
  const ended = await lab.ended();
  assert.equal((ended.stepsMs as Record<string, number> | undefined)?.firstCallerAudio, undefined);
});

test('wideband: before the first audio of Asterisk, on hold, and after it', async (t) => {
  const { media, session, asterisk } = await wideband(t);
  await until(() => session.of('media').length > 0, 'the first frame');
  const beganMs = performance.now() - FRAME_MS;
  const expected = () => (performance.now() - beganMs) / FRAME_MS;
  const near = (about: string) => {
    const bytes = mediaBytes(session);
    assert.ok(
      Math.abs(bytes.length - expected()) <= 14,
      `${about}: ${bytes.length} frames, not ${expected()}`,
    );
  };
  await delay(400);
  near('before');
  for (let i = 0; i < 10; i++) {
    asterisk().send(Buffer.alloc(640, 7));
    await delay(FRAME_MS);
  }
  await delay(600);
  near('on hold');
  for (let i = 0; i < 10; i++) {
    asterisk().send(Buffer.alloc(640, 7));
    await delay(FRAME_MS);
  }
  near('after it');
  const { line } = await media.figures();
  assert.equal(line.packetsReceived, 20);
  assert.equal(line.packetsReceived + line.filledFrames, session.of('media').length);
});
