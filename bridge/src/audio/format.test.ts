import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  bytesPerMs,
  decodeAlaw,
  decodeMulaw,
  type Encoding,
  encodeAlaw,
  encodeMulaw,
  silenceByte,
  transcoder,
} from './format.ts';

describe('G.711', () => {
  test('mu-law decodes to the values of the standard', () => {
    const known: [number, number][] = [
      [0x00, -32124],
      [0x01, -31100],
      [0x0f, -16764],
      [0x10, -15996],
      [0x7e, -8],
      [0x7f, 0],
      [0x80, 32124],
      [0xef, 132],
      [0xf0, 120],
      [0xfe, 8],
      [0xff, 0],
    ];
    for (const [byte, sample] of known) assert.equal(decodeMulaw(byte) + 0, sample, `0x${byte.toString(16)}`);
  });

  test('A-law decodes to the values of the standard', () => {
    const known: [number, number][] = [
      [0xd5, 8],
      [0x55, -8],
      [0xd4, 24],
      [0xc5, 264],
      [0xaa, 32256],
      [0x2a, -32256],
      [0x80, 5504],
    ];
    for (const [byte, sample] of known) assert.equal(decodeAlaw(byte), sample, `0x${byte.toString(16)}`);
  });

  test('every byte survives decoding and encoding, but for the second zero of mu-law', () => {
    for (let byte = 0; byte < 256; byte++) {
      assert.equal(encodeMulaw(decodeMulaw(byte)), byte === 0x7f ? 0xff : byte);
      assert.equal(encodeAlaw(decodeAlaw(byte)), byte);
    }
  });

  test('encoding errs by no more than half a step, for every sample there is', () => {
    const mulawStep = (byte: number) => 8 << ((~byte >> 4) & 7);
    const alawStep = (byte: number) => 16 << Math.max(0, (((byte ^ 0x55) >> 4) & 7) - 1);
    for (let sample = -32768; sample <= 32767; sample++) {
      const mulaw = encodeMulaw(sample);
      const alaw = encodeAlaw(sample);
      // Beyond the last decision value the signal is clipped.
      const clipped = Math.max(-32635, Math.min(32635, sample));
      assert.ok(Math.abs(decodeMulaw(mulaw) - clipped) <= mulawStep(mulaw) / 2 + 3, `mu-law of ${sample}`);
      assert.ok(Math.abs(decodeAlaw(alaw) - sample) <= alawStep(alaw) / 2, `A-law of ${sample}`);
    }
  });

  test('silence is its own encoding of zero', () => {
    assert.equal(encodeMulaw(0), silenceByte('pcmu'));
    assert.equal(encodeAlaw(0), silenceByte('pcma'));
    assert.equal(silenceByte('pcm16'), 0);
  });
});

describe('a transcoder', () => {
  const everyByte = Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte));

  function convert(from: Encoding, to: Encoding, source: Buffer): Buffer {
    const target = Buffer.alloc(source.length * 2 + 3);
    const written = transcoder(from, to)(source, 0, source.length, target, 3);
    return target.subarray(3, 3 + written);
  }

  test('writes pcm16 little-endian', () => {
    assert.equal(convert('pcmu', 'pcm16', Buffer.from('00ff80', 'hex')).toString('hex'), '84820000' + '7c7d');
  });

  test('brings G.711 by way of pcm16 back as it was', () => {
    const pcma = convert('pcm16', 'pcma', convert('pcma', 'pcm16', everyByte));
    assert.deepEqual(pcma, everyByte);
    const pcmu = convert('pcm16', 'pcmu', convert('pcmu', 'pcm16', everyByte));
    assert.deepEqual(
      [...pcmu],
      [...everyByte].map((byte) => (byte === 0x7f ? 0xff : byte)),
    );
  });

  test('goes from mu-law to A-law as by way of pcm16, and back', () => {
    assert.deepEqual(
      convert('pcmu', 'pcma', everyByte),
      convert('pcm16', 'pcma', convert('pcmu', 'pcm16', everyByte)),
    );
    assert.deepEqual(
      convert('pcma', 'pcmu', everyByte),
      convert('pcm16', 'pcmu', convert('pcma', 'pcm16', everyByte)),
    );
  });

  test('keeps to its part of the source and to its place in the target', () => {
    const target = Buffer.alloc(6, 0xee);
    const source = Buffer.from('aa00000000bb', 'hex');
    assert.equal(transcoder('pcm16', 'pcmu')(source, 1, 5, target, 2), 2);
    assert.equal(target.toString('hex'), 'eeeeffffeeee');
    assert.equal(transcoder('pcmu', 'pcmu')(source, 0, 1, target, 5), 1);
    assert.equal(target.toString('hex'), 'eeeeffffeeaa');
  });

  test('leaves an odd last byte of pcm16 out', () => {
    assert.equal(convert('pcm16', 'pcma', Buffer.alloc(5)).length, 2);
  });
});

test('a millisecond has 8 bytes of G.711 and 48 of pcm16 at 24 kHz', () => {
  assert.equal(bytesPerMs({ encoding: 'pcmu', sampleRate: 8000 }), 8);
  assert.equal(bytesPerMs({ encoding: 'pcm16', sampleRate: 24000 }), 48);
});
