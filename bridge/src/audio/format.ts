import type { Encoding, SampleRate } from '../units/audio.ts';

export { type Encoding, FRAME_MS, type SampleRate } from '../units/audio.ts';

/** The encodings of G.711. */
type G711 = Exclude<Encoding, 'pcm16'>;

/** Encoding and rate of a mono audio stream. */
export interface AudioFormat {
  encoding: Encoding;
  sampleRate: SampleRate;
}

/**
 * Converts the samples `source[start..end)`, writes them to `target` from `targetOffset` on and
 * returns the bytes written. The target must be large enough (see `bytesPerSample`). An odd last
 * byte of pcm16 is ignored.
 */
export type Transcode = (
  source: Buffer,
  start: number,
  end: number,
  target: Buffer,
  targetOffset: number,
) => number;

/** Bytes of one sample. */
export function bytesPerSample(encoding: Encoding): number {
  return encoding === 'pcm16' ? 2 : 1;
}

/** Bytes of one millisecond of audio. */
export function bytesPerMs(format: AudioFormat): number {
  return (bytesPerSample(format.encoding) * format.sampleRate) / 1000;
}

/**
 * The byte value of silence (ITU-T G.711). A-law has no zero; 0xD5 is its smallest positive value.
 */
export function silenceByte(encoding: Encoding): number {
  if (encoding === 'pcmu') return 0xff;
  return encoding === 'pcma' ? 0xd5 : 0x00;
}

/**
 * Decodes a mu-law byte to a 16-bit sample (ITU-T G.711 table 2b; 14 bits shifted to the top of
 * 16).
 */
export function decodeMulaw(byte: number): number {
  const code = ~byte & 0xff;
  const magnitude = ((((code & 0x0f) << 3) + 0x84) << ((code >> 4) & 0x07)) - 0x84;
  return (code & 0x80) !== 0 ? -magnitude : magnitude;
}

/**
 * Decodes an A-law byte to a 16-bit sample (ITU-T G.711 table 1b; 13 bits shifted to the top of
 * 16).
 */
export function decodeAlaw(byte: number): number {
  const code = byte ^ 0x55;
  const segment = (code >> 4) & 0x07;
  const steps = ((code & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? steps : (steps + 0x100) << (segment - 1);
  return (code & 0x80) !== 0 ? magnitude : -magnitude;
}

/** Encodes a 16-bit sample as mu-law, by the decision values of ITU-T G.711 table 2. */
export function encodeMulaw(sample: number): number {
  // 14 bits as in the standard. Negative values are mirrored about -1/2, because the shift rounds
  // down. 33 is the bias of the standard: with it each segment begins at a power of two.
  const linear = sample >> 2;
  const magnitude = Math.min(linear < 0 ? ~linear : linear, 8158) + 33;
  const segment = 26 - Math.clz32(magnitude);
  const code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0f);
  return (linear < 0 ? 0x7f : 0xff) ^ code;
}

/** Encodes a 16-bit sample as A-law, by the decision values of ITU-T G.711 table 1. */
export function encodeAlaw(sample: number): number {
  // 13 bits as in the standard, negative values mirrored as for mu-law.
  const linear = sample >> 3;
  const magnitude = linear < 0 ? ~linear : linear;
  const segment = Math.max(0, 27 - Math.clz32(magnitude));
  const code = (segment << 4) | ((magnitude >> Math.max(1, segment)) & 0x0f);
  return (linear < 0 ? 0x55 : 0xd5) ^ code;
}

// The encoder tables are indexed by the top 14 bits: mu-law uses 14, A-law 13.
const DECODED: Record<G711, Int16Array> = {
  pcmu: Int16Array.from({ length: 256 }, (_, byte) => decodeMulaw(byte)),
  pcma: Int16Array.from({ length: 256 }, (_, byte) => decodeAlaw(byte)),
};
const ENCODED: Record<G711, Uint8Array> = {
  pcmu: Uint8Array.from({ length: 1 << 14 }, (_, top) => encodeMulaw((top << 18) >> 16)),
  pcma: Uint8Array.from({ length: 1 << 14 }, (_, top) => encodeAlaw((top << 18) >> 16)),
};

// -60 dBFS of 32768: not audible on a telephone line. A-law's silence is 8.
const QUIET = 32;
const QUIET_G711: Record<G711, Uint8Array> = {
  pcmu: Uint8Array.from(DECODED.pcmu, (sample) => (Math.abs(sample) <= QUIET ? 1 : 0)),
  pcma: Uint8Array.from(DECODED.pcma, (sample) => (Math.abs(sample) <= QUIET ? 1 : 0)),
};

/**
 * Makes a test whether the sample at byte `at` is silence: digital silence or noise below -60 dBFS.
 */
export function quietSample(encoding: Encoding): (source: Buffer, at: number) => boolean {
  if (encoding === 'pcm16') return (source, at) => Math.abs(source.readInt16LE(at)) <= QUIET;
  const quiet = QUIET_G711[encoding];
  return (source, at) => quiet[source[at] as number] === 1;
}

/** The 16-bit samples for the 256 byte values of a G.711 encoding. */
export function decodeTable(encoding: G711): Int16Array {
  return DECODED[encoding];
}

/** Makes a reader of the 16-bit sample at byte `at`. */
export function sampleReader(encoding: Encoding): (source: Buffer, at: number) => number {
  if (encoding === 'pcm16') return (source, at) => source.readInt16LE(at);
  const decoded = DECODED[encoding];
  return (source, at) => decoded[source[at] as number] as number;
}

/**
 * Makes a converter between two encodings of the same rate. It uses tables and allocates no memory.
 */
export function transcoder(from: Encoding, to: Encoding): Transcode {
  if (from === to)
    return (source, start, end, target, targetOffset) => source.copy(target, targetOffset, start, end);
  if (from === 'pcm16') return compressor(ENCODED[to as G711]);
  if (to === 'pcm16') return expander(DECODED[from]);
  const encoded = ENCODED[to];
  return translator(Uint8Array.from(DECODED[from], (sample) => encoded[(sample >> 2) & 0x3fff] as number));
}

function compressor(encoded: Uint8Array): Transcode {
  return (source, start, end, target, targetOffset) => {
    const samples = (end - start) >> 1;
    for (let i = 0, at = start; i < samples; i++, at += 2) {
      const sample = (source[at] as number) | ((source[at + 1] as number) << 8);
      target[targetOffset + i] = encoded[sample >> 2] as number;
    }
    return samples;
  };
}

function expander(decoded: Int16Array): Transcode {
  return (source, start, end, target, targetOffset) => {
    for (let i = start, at = targetOffset; i < end; i++, at += 2) {
      const sample = decoded[source[i] as number] as number;
      target[at] = sample & 0xff;
      target[at + 1] = (sample >> 8) & 0xff;
    }
    return (end - start) * 2;
  };
}

function translator(table: Uint8Array): Transcode {
  return (source, start, end, target, targetOffset) => {
    for (let i = start; i < end; i++) target[targetOffset + i - start] = table[source[i] as number] as number;
    return end - start;
  };
}
