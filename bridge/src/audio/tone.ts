import { type AudioFormat, bytesPerSample, transcoder } from './format.ts';

const HZ = 425;
const TONE_MS = 160;
/** About -30 dBm0: audible but quiet. */
const AMPLITUDE = 700;

/** A soft beep that tells the caller that the line is alive. Faded at both ends to avoid clicks. */
export function comfortTone({ encoding, sampleRate }: AudioFormat): Buffer {
  const samples = (sampleRate * TONE_MS) / 1000;
  const pcm = Buffer.alloc(samples * 2);
  for (let i = 0; i < samples; i++) {
    const envelope = Math.sin((Math.PI * i) / samples);
    const sample = AMPLITUDE * envelope * Math.sin((2 * Math.PI * HZ * i) / sampleRate);
    pcm.writeInt16LE(Math.round(sample), i * 2);
  }
  const target = Buffer.alloc(samples * bytesPerSample(encoding));
  transcoder('pcm16', encoding)(pcm, 0, pcm.length, target, 0);
  return target;
}
