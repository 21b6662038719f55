import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesPerSample, decode, encode, resample } from './format.ts';
import { CONTROL_HZ, dominantTone, goertzel, MARKER_HZ, TONE_AMPLITUDE, tone } from './tones.ts';

test('every encoding gives the tone back', () => {
  for (const encoding of ['pcmu', 'pcma', 'pcm16'] as const) {
    const bytes = encode(tone(MARKER_HZ, 20, 8000), encoding);
    assert.equal(bytes.length, 160 * bytesPerSample(encoding));
    assert.equal(dominantTone(decode(bytes, encoding), 8000), MARKER_HZ);
  }
});

test('pcm16 is little-endian and leaves half a sample out', () => {
  assert.equal(encode(Int16Array.of(1, -2), 'pcm16').toString('hex'), '0100feff');
  assert.deepEqual([...decode(Buffer.from('0100feff7f', 'hex'), 'pcm16')], [1, -2]);
});

test('resampling keeps a tone and removes what the lower rate cannot carry', () => {
  for (const toRate of [8000, 16000, 24000]) {
    const samples = resample(tone(MARKER_HZ, 200, 22050), 22050, toRate);
    assert.equal(samples.length, toRate / 5);
    const middle = samples.subarray(toRate / 20, toRate / 10);
    assert.ok(Math.abs(goertzel(middle, MARKER_HZ, toRate) / TONE_AMPLITUDE - 1) < 0.02, `${toRate}`);
  }
  const alias = resample(tone(8000 - CONTROL_HZ, 200, 22050), 22050, 8000).subarray(400, 800);
  assert.ok(goertzel(alias, CONTROL_HZ, 8000) < TONE_AMPLITUDE / 100);
});
