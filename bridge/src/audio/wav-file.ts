import { bytesPerSample, transcoder } from './format.ts';

/** Encodings of a WAV file by their format tag (RFC 2361). */
const ENCODINGS = new Map([
  [1, 'pcm16'],
  [6, 'pcma'],
  [7, 'pcmu'],
] as const);
/** Rate of the samples, Hz. */
export const WAV_RATE = 8_000;

/**
 * The samples of a WAV file with 8000 Hz and one channel (16-bit PCM, A-law or mu-law), as pcm16.
 * Throws an Error that says what the file is not.
 */
export function wavSamples(file: Buffer): Buffer {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE')
    throw new Error('is no WAV file');
  const format = chunk(file, 'fmt ');
  const data = chunk(file, 'data');
  if (format === undefined || format.length < 16 || data === undefined || data.length < 2)
    throw new Error('has no audio');
  const encoding = ENCODINGS.get(format.readUInt16LE(0) as 1);
  if (encoding === undefined || format.readUInt16LE(14) !== 8 * bytesPerSample(encoding))
    throw new Error('must be 16-bit PCM, A-law or mu-law');
  if (format.readUInt16LE(2) !== 1 || format.readUInt32LE(4) !== WAV_RATE)
    throw new Error(`must have ${WAV_RATE} Hz and one channel`);
  const samples = Math.floor(data.length / bytesPerSample(encoding));
  const target = Buffer.alloc(2 * samples);
  transcoder(encoding, 'pcm16')(data, 0, samples * bytesPerSample(encoding), target, 0);
  return target;
}

/**
 * The content of a RIFF chunk. A program that could not go back to write the length has written too
 * large a one: then the chunk ends with the file.
 */
function chunk(file: Buffer, name: string): Buffer | undefined {
  for (let at = 12; at + 8 <= file.length; ) {
    const length = file.readUInt32LE(at + 4);
    if (file.toString('latin1', at, at + 4) === name) return file.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  return undefined;
}
