import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Resampler } from '../src/audio/resampler.ts';
import type { FuzzTarget } from './target.ts';

const rate = fc.constantFrom(8_000 as const, 16_000 as const, 24_000 as const);
const SAMPLES_MAX = 3_000;

export const targets: readonly FuzzTarget[] = [
  {
    name: 'resampler: cut anywhere, a stream becomes the same, and as long as the rates say',
    property: fc.property(
      rate,
      rate,
      fc.uint8Array({ maxLength: SAMPLES_MAX * 2 }),
      fc.array(fc.integer({ min: 0, max: 1_200 }), { maxLength: 20 }),
      (from, to, bytes, cuts) => {
        const source = Buffer.from(bytes);
        const samples = source.length >> 1;
        const whole = new Resampler(from, to);
        const expected = Buffer.alloc(whole.maxBytes(source.length));
        const length = whole.convert(source, 0, source.length, expected, 0);
        assert.equal(length, Math.ceil((samples * to) / from) * 2);
        const cut = new Resampler(from, to);
        const made = Buffer.alloc(expected.length + 2);
        let at = 0;
        let end = 0;
        for (const size of [...cuts, samples]) {
          const next = Math.min(samples, at + size);
          assert.ok(cut.maxBytes((next - at) * 2) >= Math.ceil(((next - at) * to) / from) * 2);
          end += cut.convert(source, at * 2, next * 2, made, end);
          at = next;
        }
        assert.deepEqual(made.subarray(0, end), expected.subarray(0, length));
      },
    ),
  },
];
