import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallerAudio } from './caller-audio.ts';

const SILENCE = 0;
const FRAME = Buffer.alloc(640, 9);

function listen() {
  const heard: { isSilence: boolean; ms: number; timestampMs: number }[] = [];
  const caller = new CallerAudio({
    frameBytes: 640,
    frameMs: 20,
    silence: SILENCE,
    idleMs: 200,
    maxLeadMs: 200,
    onFrame: (source, start, end, timestampMs) =>
      heard.push({ isSilence: source[start] === SILENCE, ms: (end - start) / 32, timestampMs }),
  });
  const audioMs = () => heard.reduce((sum, { isSilence, ms }) => sum + (isSilence ? 0 : ms), 0);
  const heardMs = () => heard.reduce((sum, { ms }) => sum + ms, 0);
  return { caller, heard, audioMs, heardMs };
}

test('before the first message there is silence every 20 ms, and then nothing twice', () => {
  const { caller, heard, audioMs } = listen();
  caller.begin(500);
  for (let now = 507; now < 3500; now += 20) caller.tick(now);
  assert.equal(heard.length, 149);
  for (let i = 0; i < 50; i++) {
    caller.push(FRAME, 3501 + i * 20);
    caller.tick(3507 + i * 20);
  }
  assert.equal(audioMs(), 1000);
  assert.ok(Math.abs(heard.length * 20 - 4000) <= 20, `${heard.length} frames in 4 s`);
});

test('while Asterisk sends none, as on hold, there is silence, and the time is right when it sends again', () => {
  const { caller, heard, audioMs } = listen();
  caller.begin(0);
  for (let i = 0; i < 50; i++) caller.push(FRAME, i * 20);
  for (let now = 1000; now < 6000; now += 20) caller.tick(now);
  assert.ok(heard.length >= 280, `${heard.length} frames in 6 s`);
  for (let i = 0; i < 50; i++) caller.push(FRAME, 6000 + i * 20);
  assert.equal(audioMs(), 2000);
  // Less by what silence stays behind the clock, whatever the number of pauses.
  assert.equal(heard.length, 339);
  for (let now = 7000; now < 9000; now += 20) caller.tick(now);
  assert.equal(heard.length, 439);
  assert.deepEqual(
    heard.map(({ timestampMs }) => timestampMs),
    Array.from({ length: 439 }, (_, i) => i * 20),
  );
});

test('a burst after a short stall is heard whole; a flood is dropped and counted', () => {
  const { caller, audioMs, heardMs } = listen();
  caller.begin(0);
  for (let i = 0; i < 50; i++) caller.push(FRAME, i * 20);
  for (let now = 1000; now < 1400; now += 20) caller.tick(now);
  for (let i = 0; i < 20; i++) caller.push(FRAME, 1400);
  assert.deepEqual([audioMs(), caller.early], [1400, 0]);
  for (let i = 0; i < 3000; i++) caller.push(FRAME, 1400 + i / 3);
  assert.ok(heardMs() <= 2400 + 200);
  assert.equal(caller.received, 3070);
  assert.equal(audioMs() / 20 + caller.early, 3070);
  const before = caller.early;
  for (let i = 0; i < 30_000; i++) caller.push(FRAME.subarray(0, 2), 2400 + i / 10);
  assert.ok(30_000 - (caller.early - before) <= (3000 + 400) / 2.5);
});
