import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rms, tone } from './tones.ts';
import { Vad } from './vad.ts';

/** Pushes 20 ms frames; returns the utterances' lengths in ms, with the time of each. */
function listen(vad: Vad, samples: Int16Array): { atMs: number; ms: number }[] {
  const found: { atMs: number; ms: number }[] = [];
  for (let at = 0; at + 160 <= samples.length; at += 160) {
    const utterance = vad.push(samples.subarray(at, at + 160));
    if (utterance) found.push({ atMs: at / 8 + 20, ms: utterance.length / 8 });
  }
  return found;
}

const silence = (ms: number) => new Int16Array(8 * ms);
const join = (...parts: Int16Array[]) => Int16Array.from(parts.flatMap((part) => [...part]));

test('an utterance ends with the pause and has a margin of quiet on both sides', () => {
  const audio = join(silence(1000), tone(440, 500, 8000), silence(1000));
  assert.deepEqual(listen(new Vad(8000), audio), [{ atMs: 2200, ms: 900 }]);
});

test('a short break does not end an utterance', () => {
  const audio = join(tone(440, 500, 8000), silence(300), tone(440, 500, 8000), silence(800));
  assert.deepEqual(listen(new Vad(8000), audio), [{ atMs: 2000, ms: 1500 }]);
});

test('a click is no speech', () => {
  assert.deepEqual(listen(new Vad(8000), join(silence(100), tone(440, 40, 8000), silence(1000))), []);
});

test('speech without a pause is handed over after 10 s', () => {
  assert.deepEqual(listen(new Vad(8000), tone(440, 10_100, 8000)), [{ atMs: 10_000, ms: 10_000 }]);
});

test('it tells for how long the caller has been speaking, and when not', () => {
  const vad = new Vad(8000);
  listen(vad, join(silence(200), tone(440, 300, 8000)));
  assert.equal(vad.speechMs, 300);
  listen(vad, silence(200));
  assert.equal(vad.speechMs, 0);
});

test('steady noise is learned and not taken for speech', () => {
  let seed = 7;
  const noise = (ms: number) =>
    Int16Array.from({ length: 8 * ms }, () => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return ((seed >> 16) % 400) - 200;
    });
  assert.ok(rms(noise(20)) > 100);
  assert.deepEqual(listen(new Vad(8000), join(noise(2000), tone(440, 500, 8000), noise(1000))).length, 1);
  assert.deepEqual(listen(new Vad(8000), noise(3000)), []);
});
