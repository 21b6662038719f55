import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WAV_HEADER_BYTES, wavHeader } from './wav.ts';

test('a header says stereo, 16 bits, the rate, and how much follows', () => {
  const expected =
    '52494646 24fa0000 57415645 666d7420 10000000 0100 0200 401f0000 007d0000 0400 1000 64617461 00fa0000';
  const header = wavHeader(8_000, 64_000);
  assert.equal(header.length, WAV_HEADER_BYTES);
  assert.equal(header.toString('hex'), expected.replaceAll(' ', ''));
});

test('the header of an empty file is that of a file without samples', () => {
  const header = wavHeader(24_000, 0);
  assert.equal(header.readUInt32LE(4), 36);
  assert.equal(header.readUInt32LE(24), 24_000);
  assert.equal(header.readUInt32LE(40), 0);
});
