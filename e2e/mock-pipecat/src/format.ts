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

/** `samples` at another rate: a windowed sinc, low-passed at 90 % of the lower Nyquist frequency. */
export function resample(samples: Int16Array, fromRate: number, toRate: number): Int16Array {
  if (fromRate === toRate) return samples;
  const cutoff = 0.9 * Math.min(1, toRate / fromRate);
  const reach = RESAMPLE_REACH / Math.min(1, toRate / fromRate);
  return Int16Array.from({ length: Math.floor((samples.length * toRate) / fromRate) }, (_, i) => {
    const centre = (i * fromRate) / toRate;
    let sum = 0;
    for (let at = Math.ceil(centre - reach); at <= centre + reach; at++) {
      const distance = at - centre;
      const x = Math.PI * cutoff * distance;
      const sinc = x === 0 ? 1 : Math.sin(x) / x;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / reach);
      sum += (samples[at] ?? 0) * cutoff * sinc * window;
    }
    return Math.max(-32768, Math.min(32767, Math.round(sum)));
  });
}
