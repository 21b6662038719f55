import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Lab, speech, until } from './harness.ts';
import { wideband } from './wideband.ts';

test('a bot that stops reading loses old audio only', async (t) => {
  let now = 0;
  const { media, session, asterisk } = await wideband(t, () => now);
  session.stopReading();
  let sent = 0;
  const dropped = async () => (await media.figures()).droppedMessages;
  // The kernel takes megabytes before a socket is full.
  while ((await dropped()) < 100) {
    assert.ok(sent < 30_000, 'what the kernel takes has an end');
    const received = sent;
    for (let i = 0; i < 10; i++) asterisk().send(Buffer.alloc(640, ++sent));
    // The clock goes on when they are there.
    for (let i = 0; (await media.figures()).line.packetsReceived <= received && i < 1000; i++) await turn();
    now += 200;
  }
  session.resumeReading();
  const newest = Buffer.alloc(640, sent);
  // What is held back leaves with the next frame.
  const isHeard = () => {
    now += 20;
    asterisk().send(Buffer.alloc(640));
    return session.of('media').some(({ payload }) => payload === newest.toString('base64'));
  };
  await until(isHeard, 'the newest');
  assert.equal((await media.figures()).line.early, 0);
});

test('a caller who floods is heard as much as time passes, and the rest is in the record', async (t) => {
  const lab = await Lab.start(t);
  const { channel, session } = await lab.call();
  const other = await lab.call();
  const rtp = lab.ari.mediaOf(channel.id);
  const beganMs = performance.now();
  for (let i = 0; i < 1500; i++) {
    rtp.send(speech(1, i));
    if (i % 30 === 0) await turn();
  }
  await until(() => performance.now() - beganMs > 500, 'time');
  const otherMs = other.session.audio().length / 8;
  const heardMs = session.audio().length / 8;
  const passedMs = performance.now() - beganMs;
  assert.ok(heardMs <= passedMs + 400, `${heardMs} ms in ${passedMs} ms`);
  assert.ok(otherMs >= 300, `the neighbour heard ${otherMs} ms`);
  for (const call of [channel, other.channel]) lab.ari.hangUp(call.id);
  const ended = [await lab.ended(0), await lab.ended(1)];
  const early = ended.map(({ figures }) => (figures as { line: { early: number } }).line.early);
  assert.ok(Math.max(...early) > 1000 && Math.min(...early) === 0, early.join());
});
