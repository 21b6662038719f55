import { type AudioFormat, bytesPerSample } from '../src/audio/format.ts';
import { encoded, speechLike } from './speech-like.ts';

const SPEECH_LIKE_HZ = 8000;
/** Up to here `speechLike` makes no pause that a bot may take for the end of a sentence. */
const PHRASE_MS = 1_400;
const LEVEL_DBFS = -16;
const PITCH_HZ = 130;

/** A phrase of syllables without words. */
export function phrase({ encoding, sampleRate }: AudioFormat): Buffer {
  const sound = speechLike(3, PHRASE_MS, LEVEL_DBFS, PITCH_HZ);
  return encoded(resampled(sound, SPEECH_LIKE_HZ, sampleRate), encoding);
}

/**
 * Reads a recording for the caller to play: WAV, 16 bits linear, any rate; of several channels the
 * first. Throws an Error that says what is wrong with it.
 */
export function recordedSpeech(file: Buffer, { encoding, sampleRate }: AudioFormat): Buffer {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE')
    throw new Error('is no WAV file');
  const format = chunk(file, 'fmt ');
  const data = chunk(file, 'data');
  if (format === undefined || format.length < 16 || data === undefined || format.readUInt32LE(4) === 0)
    throw new Error('has no audio');
  const channels = format.readUInt16LE(2);
  const bits = format.readUInt16LE(14);
  const rate = format.readUInt32LE(4);
  if (format.readUInt16LE(0) !== 1 || bits !== 16 || channels === 0)
    throw new Error('is not linear with 16 bits');
  const step = channels * bytesPerSample('pcm16');
  const sound = Float64Array.from({ length: Math.floor(data.length / step) }, (_, i) =>
    data.readInt16LE(i * step),
  );
  return encoded(resampled(sound, rate, sampleRate), encoding);
}

/** The content of a RIFF chunk; as much as there is, where a program wrote a wrong length. */
function chunk(file: Buffer, name: string): Buffer | undefined {
  for (let at = 12; at + 8 <= file.length; ) {
    const length = file.readUInt32LE(at + 4);
    if (file.toString('latin1', at, at + 4) === name) return file.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  return undefined;
}

/** By straight lines between samples: understood, not beautiful. */
function resampled(sound: Float64Array, from: number, to: number): Float64Array {
  if (from === to) return sound;
  const at = (i: number) => sound[Math.min(i, sound.length - 1)] ?? 0;
  return Float64Array.from({ length: Math.floor((sound.length * to) / from) }, (_, i) => {
    const place = (i * from) / to;
    const whole = Math.floor(place);
    return at(whole) + (at(whole + 1) - at(whole)) * (place - whole);
  });
}
