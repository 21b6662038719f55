import { decodeAlaw, decodeUlaw, encodeAlaw, encodeUlaw } from './tones.ts';

/** How a call's audio is written in media messages. pcm16 is little-endian. */
export type Encoding = 'pcmu' | 'pcma' | 'pcm16';

/** Samples as the bytes of a media payload. */
export function encode(samples: Int16Array, encoding: Encoding): Buffer {
  if (encoding === 'pcmu') return Buffer.from(encodeUlaw(samples).buffer);
  if (encoding === 'pcma') return Buffer.from(encodeAlaw(samples).buffer);
  const bytes = Buffer.alloc(samples.length * 2);
  samples.forEach((sample, i) => {
    bytes.writeInt16LE(sample, i * 2);
  });
  return bytes;
}

/** The samples in a media payload; half a sample at the end is left out. */
export function decode(bytes: Buffer, encoding: Encoding): Int16Array {
  if (encoding === 'pcmu') return decodeUlaw(bytes);
  if (encoding === 'pcma') return decodeAlaw(bytes);
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(i * 2));
}

/** Bytes that one sample takes. */
export function bytesPerSample(encoding: Encoding): number {
  return encoding === 'pcm16' ? 2 : 1;
}

/** Input samples either side of each output sample, at the lower of the two rates. */
const RESAMPLE_REACH = 16;

/**
 * `samples` at another rate: windowed sinc, low-pass at 90 % of the lower Nyquist frequency. Rates
 * are whole Hz.
 */
export function resample(samples: Int16Array, fromRate: number, toRate: number): Int16Array {
  if (fromRate === toRate) return samples;
  const scale = Math.min(1, toRate / fromRate);
  const reach = Math.ceil(RESAMPLE_REACH / scale);
  // Output samples lie at few different fractions of an input sample: a filter for each is enough.
  const phases = toRate / greatestCommonDivisor(fromRate, toRate);
  const filters = Array.from({ length: phases }, (_, i) =>
    lowPass(((i * fromRate) / toRate) % 1, 0.9 * scale, reach),
  );
  const padded = new Int16Array(samples.length + 2 * reach);
  padded.set(samples, reach);
  const output = new Int16Array(Math.floor((samples.length * toRate) / fromRate));
  for (let i = 0; i < output.length; i++) {
    const first = Math.floor((i * fromRate) / toRate) + 1;
    const filter = filters[i % phases] ?? [];
    let sum = 0;
    for (let tap = 0; tap < 2 * reach; tap++) sum += (filter[tap] ?? 0) * (padded[first + tap] ?? 0);
    output[i] = Math.max(-32768, Math.min(32767, Math.round(sum)));
  }
  return output;
}

/**
 * Weights of the 2 * `reach` input samples around a point that lies `fraction` behind the
 * `reach`-th of them.
 */
function lowPass(fraction: number, cutoff: number, reach: number): Float64Array {
  return Float64Array.from({ length: 2 * reach }, (_, tap) => {
    const distance = tap - reach + 1 - fraction;
    const x = Math.PI * cutoff * distance;
    const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / reach);
    return cutoff * window * (x === 0 ? 1 : Math.sin(x) / x);
  });
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
