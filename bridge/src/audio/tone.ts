import { type AudioFormat, bytesPerSample, transcoder } from './format.ts';

const HZ = 425;
const TONE_MS = 160;
/** About -30 dBm0: to be noticed, not to annoy. */
const AMPLITUDE = 700;

/** One soft beep, that says to the caller: the line is alive, wait. Faded at both ends so that it does not click. */
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
