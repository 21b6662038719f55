import assert from 'node:assert/strict';
import { test } from 'node:test';
import { phrase, recordedSpeech } from './speech.ts';

/**
 * A WAV file of these samples (the channels interleaved), with an unknown chunk before the data.
 */
function wav(samples: readonly number[], sampleRate: number, channels = 1, bits = 16): Buffer {
  const data = Buffer.from(Int16Array.from(samples).buffer);
  const format = Buffer.alloc(16);
  format.writeUInt16LE(1, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(sampleRate, 4);
  format.writeUInt16LE(bits, 14);
  const chunk = (name: string, content: Buffer) => {
    const head = Buffer.from(`${name}....`);
    head.writeUInt32LE(content.length, 4);
    return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
  };
  return Buffer.concat([
    Buffer.from('RIFF....WAVE'),
    chunk('fmt ', format),
    chunk('LIST', Buffer.from('odd')),
    chunk('data', data),
  ]);
}

const WIDE = { encoding: 'pcm16', sampleRate: 16_000 } as const;

test('a phrase is as long in every format', () => {
  assert.equal(phrase({ encoding: 'pcmu', sampleRate: 8000 }).length, 1.4 * 8000);
  assert.equal(phrase(WIDE).length, 1.4 * 16_000 * 2);
});

test('a recording is brought to the call’s rate; of two channels the first is said', () => {
  const speech = recordedSpeech(wav([0, 9, 1000, 9, 2000, 9], 8000, 2), WIDE);
  assert.deepEqual([...new Int16Array(Uint8Array.from(speech).buffer)], [0, 500, 1000, 1500, 2000, 2000]);
});

test('what is no WAV of 16 bits is refused, cut off or not, and said why', () => {
  assert.throws(() => recordedSpeech(Buffer.from('hello'), WIDE), /is no WAV file/);
  assert.throws(() => recordedSpeech(wav([1], 8000).subarray(0, 30), WIDE), /has no audio/);
  assert.throws(() => recordedSpeech(wav([1], 8000, 1, 8), WIDE), /is not linear with 16 bits/);
  assert.throws(() => recordedSpeech(wav([1], 0), WIDE), /has no audio/);
  assert.equal(recordedSpeech(wav([1, 2, 3, 4], 16_000).subarray(0, -4), WIDE).length, 4);
});
