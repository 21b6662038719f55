import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWav } from './wav.ts';

/** A WAVE file with an extra chunk of odd length before the samples. */
function wav(codec: number, channels: number): Buffer {
  const format = Buffer.alloc(24);
  format.write('fmt ');
  format.writeUInt32LE(16, 4);
  format.writeUInt16LE(codec, 8);
  format.writeUInt16LE(channels, 10);
  format.writeUInt32LE(22050, 12);
  format.writeUInt16LE(16, 22);
  const extra = Buffer.from('LIST\x03\x00\x00\x00abc\x00', 'latin1');
  const data = Buffer.from('data\x04\x00\x00\x00\x01\x00\xfe\xff', 'latin1');
  return Buffer.concat([Buffer.from('RIFF\x00\x00\x00\x00WAVE', 'latin1'), format, extra, data]);
}

test('a 16-bit mono file is read, other chunks are skipped', () => {
  const { sampleRate, samples } = parseWav(wav(1, 1));
  assert.equal(sampleRate, 22050);
  assert.deepEqual([...samples], [1, -2]);
});

test('a length beyond the end, as espeak-ng writes to a pipe, takes what is there', () => {
  const file = wav(1, 1);
  file.writeUInt32LE(0x7ffff000, file.length - 8);
  assert.deepEqual([...parseWav(file).samples], [1, -2]);
});

test('anything else is refused with a reason', () => {
  assert.throws(() => parseWav(Buffer.from('hello')), /not a RIFF/);
  assert.throws(() => parseWav(wav(6, 1)), /not 16-bit mono/);
  assert.throws(() => parseWav(wav(1, 2)), /not 16-bit mono/);
  assert.throws(() => parseWav(wav(1, 1).subarray(0, 20)), /too short/);
  assert.throws(() => parseWav(wav(1, 1).subarray(0, 36)), /no audio/);
});
