import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fader } from './fade.ts';
import { decodeTable, type Encoding, encodeAlaw, encodeMulaw, silenceByte } from './format.ts';

const LOUD = 10_000;

/** A fade of 160 samples of `LOUD`, as samples. */
function faded(encoding: Encoding, from: number, to: number): number[] {
  const isPcm = encoding === 'pcm16';
  const source = Buffer.alloc(isPcm ? 322 : 161);
  for (let i = 0; i < 161; i++) {
    if (isPcm) source.writeInt16LE(LOUD, i * 2);
    else source[i] = encoding === 'pcmu' ? encodeMulaw(LOUD) : encodeAlaw(LOUD);
  }
  const target = Buffer.alloc(source.length, silenceByte(encoding));
  fader(encoding, 320)(source, isPcm ? 2 : 1, source.length, target, from, to);
  return Array.from({ length: 160 }, (_, i) =>
    isPcm ? target.readInt16LE(i * 2) : (decodeTable(encoding)[target[i] as number] as number),
  );
}

for (const encoding of ['pcmu', 'pcma', 'pcm16'] as const) {
  test(`a fade goes evenly from one loudness to the other (${encoding})`, () => {
    for (const [i, sample] of faded(encoding, 1, 0.4).entries()) {
      const wanted = LOUD * (1 - (0.6 * i) / 160);
      assert.ok(Math.abs(sample - wanted) <= LOUD * 0.04, `sample ${i}: ${sample}, not ${wanted}`);
    }
    for (const sample of faded(encoding, 0, 0)) assert.ok(Math.abs(sample) <= 8);
  });
}
