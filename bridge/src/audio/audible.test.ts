import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audibleIn, hasSound } from './audible.ts';
import { encodeAlaw, encodeMulaw } from './format.ts';

/** 20 ms of a tone whose peak is `amplitude`, as 16 bit samples. */
function tone(amplitude: number): number[] {
  return Array.from({ length: 160 }, (_, i) =>
    Math.round(amplitude * Math.sin((2 * Math.PI * 440 * i) / 8000)),
  );
}

test('speech is audible, a quiet line is not, in every encoding', () => {
  const pcm16 = (samples: number[]) => {
    const bytes = Buffer.alloc(samples.length * 2);
    samples.forEach((sample, i) => {
      bytes.writeInt16LE(sample, i * 2);
    });
    return bytes;
  };
  const encoders = {
    pcm16,
    pcmu: (samples: number[]) => Buffer.from(samples.map(encodeMulaw)),
    pcma: (samples: number[]) => Buffer.from(samples.map(encodeAlaw)),
  };
  for (const encoding of ['pcmu', 'pcma', 'pcm16'] as const) {
    const isAudible = audibleIn(encoding);
    const encode = encoders[encoding];
    // -24 dBFS, -60 dBFS, nothing.
    for (const [amplitude, expected] of [
      [2_900, true],
      [45, false],
      [0, false],
    ] as const) {
      const frame = encode(tone(amplitude));
      const shifted = Buffer.concat([Buffer.alloc(12), frame]);
      assert.equal(isAudible(shifted, 12, shifted.length), expected, `${encoding} ${amplitude}`);
    }
  }
});

test('a message has a sound where any 20 ms of it have one, and none where it is silence or half a sample', () => {
  const silence = { pcmu: 0xff, pcma: 0xd5, pcm16: 0 };
  for (const encoding of ['pcmu', 'pcma', 'pcm16'] as const) {
    const silent = Buffer.alloc(16_001, silence[encoding]);
    assert.equal(hasSound(silent, silent.length, encoding), false, encoding);
    assert.equal(hasSound(silent, 0, encoding), false, encoding);
    const spoken = Buffer.from(silent).fill(0x30, 12_000, 12_320);
    assert.equal(hasSound(spoken, spoken.length, encoding), true, encoding);
    // What lies behind the message is not of it.
    assert.equal(hasSound(spoken, 12_000, encoding), false, encoding);
  }
});
