import { decodeTable, type Encoding, transcoder } from './format.ts';

/**
 * Copies the samples `source[start..end)` to the start of `target`, with a linear gain from
 * `fromGain` to `toGain` (1: unchanged, 0: silence).
 */
export type Fade = (
  source: Buffer,
  start: number,
  end: number,
  target: Buffer,
  fromGain: number,
  toGain: number,
) => void;

/** Makes the fade for an encoding, for frames of up to `maxBytes`. The fade allocates no memory. */
export function fader(encoding: Encoding, maxBytes: number): Fade {
  if (encoding === 'pcm16') return fadePcm16;
  const decoded = decodeTable(encoding);
  const encode = transcoder('pcm16', encoding);
  const pcm = Buffer.alloc(maxBytes * 2);
  return (source, start, end, target, fromGain, toGain) => {
    const samples = end - start;
    for (let i = 0; i < samples; i++) {
      const gain = fromGain + ((toGain - fromGain) * i) / samples;
      pcm.writeInt16LE((decoded[source[start + i] as number] as number) * gain, i * 2);
    }
    encode(pcm, 0, samples * 2, target, 0);
  };
}

function fadePcm16(
  source: Buffer,
  start: number,
  end: number,
  target: Buffer,
  fromGain: number,
  toGain: number,
): void {
  const bytes = end - start;
  for (let i = 0; i + 1 < bytes; i += 2) {
    const gain = fromGain + ((toGain - fromGain) * i) / bytes;
    target.writeInt16LE(source.readInt16LE(start + i) * gain, i);
  }
}
