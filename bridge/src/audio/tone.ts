import { type Encoding, transcoder } from './format.ts';

const SAMPLE_RATE = 8_000;
const HZ = 425;
const TONE_MS = 160;
/** About -30 dBm0: to be noticed, not to annoy. */
const AMPLITUDE = 700;

/** One soft beep in G.711, that says to the caller: the line is alive, wait. Faded at both ends so that it does not click. */
export function comfortTone(encoding: Exclude<Encoding, 'pcm16'>): Buffer {
  const samples = (SAMPLE_RATE * TONE_MS) / 1000;
  const pcm = Buffer.alloc(samples * 2);
  for (let i = 0; i < samples; i++) {
    const envelope = Math.sin((Math.PI * i) / samples);
    pcm.writeInt16LE(
      Math.round(AMPLITUDE * envelope * Math.sin((2 * Math.PI * HZ * i) / SAMPLE_RATE)),
      i * 2,
    );
  }
  const target = Buffer.alloc(samples);
  transcoder('pcm16', encoding)(pcm, 0, pcm.length, target, 0);
  return target;
}
