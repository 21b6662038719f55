import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CALLER_HZ,
  CONTROL_HZ,
  decodeAlaw,
  decodeUlaw,
  dominantTone,
  encodeAlaw,
  encodeUlaw,
  goertzel,
  MARKER_HZ,
  rms,
  SECOND_HZ,
  TONE_AMPLITUDE,
  TONES_HZ,
  tone,
  WIDE_CALLER_HZ,
  WIDE_MARKER_HZ,
} from './tones.ts';

test('a tone has the length, level and frequency asked for, at every rate', () => {
  for (const rate of [8000, 16000, 24000]) {
    const samples = tone(MARKER_HZ, 20, rate);
    assert.equal(samples.length, rate / 50);
    assert.ok(Math.abs(goertzel(samples, MARKER_HZ, rate) - TONE_AMPLITUDE) < 5);
    assert.ok(Math.abs(rms(samples) - TONE_AMPLITUDE / Math.SQRT2) < 5);
    assert.ok(goertzel(samples, CONTROL_HZ, rate) < 5);
  }
});

test('each tone is found in one 20 ms frame after G.711, at any phase, and no other', () => {
  for (const hz of TONES_HZ.filter((hz) => hz < 4000)) {
    for (const codec of [
      (s: Int16Array) => decodeUlaw(encodeUlaw(s)),
      (s: Int16Array) => decodeAlaw(encodeAlaw(s)),
    ]) {
      const samples = codec(tone(hz, 200, 8000));
      for (let at = 0; at + 160 <= samples.length; at += 37) {
        assert.equal(dominantTone(samples.subarray(at, at + 160), 8000), hz);
      }
    }
  }
});

test('the wideband tones are found in one 20 ms frame at the higher rates, and at 8 kHz not looked for', () => {
  for (const hz of [WIDE_CALLER_HZ, WIDE_MARKER_HZ]) {
    for (const rate of [16000, 24000]) assert.equal(dominantTone(tone(hz, 20, rate), rate), hz);
    assert.equal(dominantTone(tone(8000 - hz, 20, 8000), 8000), undefined);
  }
});

test('silence, two equal tones and noise have no dominant tone', () => {
  assert.equal(dominantTone(new Int16Array(160), 8000), undefined);
  assert.equal(dominantTone(decodeUlaw(new Uint8Array(160).fill(0xff)), 8000), undefined);
  assert.equal(dominantTone(new Int16Array(0), 8000), undefined);
  const mixed = tone(CALLER_HZ, 100, 8000).map(
    (s, i) => s + (tone(SECOND_HZ, 100, 8000)[i] ?? 0) + (tone(700, 100, 8000)[i] ?? 0),
  );
  assert.equal(dominantTone(mixed, 8000), undefined);
  let seed = 1;
  const noise = Int16Array.from({ length: 160 }, () => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return (seed >> 15) - 32768;
  });
  assert.equal(dominantTone(noise, 8000), undefined);
});

test('mu-law agrees with G.711 at silence, at the ends and on every code', () => {
  assert.deepEqual([...encodeUlaw(Int16Array.of(0, 32767, -32768, -1))], [0xff, 0x80, 0x00, 0x7f]);
  assert.deepEqual([...decodeUlaw(Uint8Array.of(0xff, 0x7f, 0x80, 0x00))], [0, 0, 32124, -32124]);
  for (let code = 0; code < 256; code++) {
    const again = encodeUlaw(decodeUlaw(Uint8Array.of(code)))[0];
    assert.equal(again, code === 0x7f ? 0xff : code);
  }
});

test('A-law agrees with G.711 at silence, at the ends and on every code', () => {
  assert.deepEqual([...encodeAlaw(Int16Array.of(0, 32767, -32768, -1))], [0xd5, 0xaa, 0x2a, 0x55]);
  assert.deepEqual([...decodeAlaw(Uint8Array.of(0xd5, 0x55, 0xaa, 0x2a))], [8, -8, 32256, -32256]);
  for (let code = 0; code < 256; code++) {
    assert.equal(encodeAlaw(decodeAlaw(Uint8Array.of(code)))[0], code);
  }
});
