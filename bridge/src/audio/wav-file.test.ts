import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wavSamples } from './wav-file.ts';

interface Format {
  readonly tag?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly bits?: number;
}

function wav(data: Buffer, { tag = 1, channels = 1, rate = 8_000, bits = 16 }: Format = {}): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(tag, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt16LE(bits, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}

test('16-bit PCM is taken as it is, G.711 is decoded', () => {
  const pcm = Buffer.from([1, 2, 3, 4]);
  assert.deepEqual(wavSamples(wav(pcm)), pcm);
  assert.deepEqual(
    wavSamples(wav(Buffer.from([0xff, 0xff]), { tag: 7, bits: 8 })),
    Buffer.from([0, 0, 0, 0]),
  );
  assert.equal(wavSamples(wav(Buffer.alloc(160, 0xd5), { tag: 6, bits: 8 })).length, 320);
});

test('a length that is too large means the rest of the file', () => {
  const file = wav(Buffer.from([1, 2, 3, 4]));
  file.writeUInt32LE(0xffff_ffff, 40);
  assert.equal(wavSamples(file).length, 4);
});

for (const [file, problem] of [
  [Buffer.from('ID3'), /no WAV file/],
  [wav(Buffer.alloc(0)), /no audio/],
  [wav(Buffer.alloc(4), { tag: 3, bits: 32 }), /must be 16-bit PCM/],
  [wav(Buffer.alloc(4), { bits: 24 }), /must be 16-bit PCM/],
  [wav(Buffer.alloc(4), { rate: 44_100 }), /8000 Hz and one channel/],
  [wav(Buffer.alloc(4), { channels: 2 }), /8000 Hz and one channel/],
] as const)
  test(`a file that cannot be played is refused: ${problem}`, () => {
    assert.throws(() => wavSamples(file), problem);
  });
