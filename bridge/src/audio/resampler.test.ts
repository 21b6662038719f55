import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SampleRate } from './format.ts';
import { Resampler } from './resampler.ts';

const RATES = [8_000, 16_000, 24_000] as const;
const PAIRS = RATES.flatMap((from) => RATES.filter((to) => to !== from).map((to) => ({ from, to })));

/** Half a second of a tone. */
function tone(hertz: number, rate: number, amplitude = 16_000): Buffer {
  const samples = Buffer.alloc(rate);
  for (let i = 0; i < rate / 2; i++)
    samples.writeInt16LE(Math.round(amplitude * Math.sin((2 * Math.PI * hertz * i) / rate)), i * 2);
  return samples;
}

function resampled(source: Buffer, from: SampleRate, to: SampleRate): Buffer {
  const resampler = new Resampler(from, to);
  const target = Buffer.alloc(resampler.maxBytes(source.length));
  return target.subarray(0, resampler.convert(source, 0, source.length, target, 0));
}

/**
 * Rms of the residual after the best fit of a frequency is subtracted, and rms of the fit; over the
 * last 400 ms, which are whole periods.
 */
function fit(pcm: Buffer, hertz: number, rate: number): { readonly tone: number; readonly rest: number } {
  const first = pcm.length / 2 - 0.4 * rate;
  const samples = Array.from({ length: 0.4 * rate }, (_, i) => pcm.readInt16LE((first + i) * 2));
  const angle = (i: number) => (2 * Math.PI * hertz * i) / rate;
  const scale = 2 / samples.length;
  const re = samples.reduce((sum, sample, i) => sum + sample * Math.cos(angle(i)), 0) * scale;
  const im = samples.reduce((sum, sample, i) => sum + sample * Math.sin(angle(i)), 0) * scale;
  const rest = samples.reduce(
    (sum, sample, i) => sum + (sample - re * Math.cos(angle(i)) - im * Math.sin(angle(i))) ** 2,
    0,
  );
  return { tone: Math.hypot(re, im) / Math.SQRT2, rest: Math.sqrt(rest / samples.length) };
}

const decibels = (ratio: number) => 20 * Math.log10(ratio);
const FULL = 16_000 / Math.SQRT2;

describe('a change of rate', () => {
  for (const { from, to } of PAIRS)
    test(`${from} to ${to} Hz passes speech as it is, without images or aliases above -60 dB`, () => {
      const half = Math.min(from, to) / 2;
      for (let hertz = 100; hertz <= 0.85 * half; hertz += 100) {
        const heard = fit(resampled(tone(hertz, from), from, to), hertz, to);
        assert.ok(
          Math.abs(decibels(heard.tone / FULL)) < 0.1,
          `${hertz} Hz: ${decibels(heard.tone / FULL)} dB`,
        );
        assert.ok(decibels(heard.rest / FULL) < -60, `beside ${hertz} Hz: ${decibels(heard.rest / FULL)} dB`);
      }
    });

  for (const { from, to } of PAIRS.filter(({ from, to }) => from > to))
    test(`${from} to ${to} Hz lets nothing through that the lower rate has no room for: -64 dB`, () => {
      for (let hertz = 1.08 * (to / 2); hertz < from / 2; hertz += 97) {
        const level = decibels(fit(resampled(tone(hertz, from), from, to), 0, to).rest / FULL);
        assert.ok(level < -64, `${hertz} Hz: ${level} dB`);
      }
    });

  test('makes as many samples as the ratio of the rates says', () => {
    for (const { from, to } of PAIRS)
      for (const samples of [0, 1, 2, 3, 479, 480, 961, 5_000]) {
        const made = resampled(Buffer.alloc(samples * 2), from, to);
        assert.equal(made.length / 2, Math.ceil((samples * to) / from), `${samples} from ${from} to ${to}`);
      }
  });

  test('leaves silence silent and the loudest as loud, without a wrap', () => {
    for (const { from, to } of PAIRS) {
      assert.ok(resampled(Buffer.alloc(4_000), from, to).every((byte) => byte === 0));
      const square = Buffer.alloc(8_000);
      for (let i = 0; i < 4_000; i++) square.writeInt16LE(i % 200 < 100 ? 32_767 : -32_768, i * 2);
      const made = resampled(square, from, to);
      // In the middle of a half wave nothing may be of the other sign.
      const period = (200 * to) / from;
      const delay = ((108 / Math.max(from, to)) * to) / 2;
      for (let i = 0; i < made.length / 2; i++) {
        const phase = (((i - delay) / period) % 1) + (i < delay ? 1 : 0);
        if (i < 2 * period || phase % 0.5 < 0.2 || phase % 0.5 > 0.3) continue;
        assert.equal(Math.sign(made.readInt16LE(i * 2)), phase < 0.5 ? 1 : -1, `${from} ${to} at ${i}`);
      }
    }
  });
});
