import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resample } from './format.ts';
import { tone } from './tones.ts';
import { parseWav } from './wav.ts';

const RATES = [8000, 16000, 24000] as const;

/**
 * The bot's phrases: `greeting`, `goodbye` and the DTMF digits, spoken; or a melody if there is no
 * recording.
 */
export class Voice {
  #phrases = new Map<string, Int16Array>();

  /**
   * Reads NAME.wav for each phrase in `directory`. Without the directory there is only the melody.
   */
  constructor(directory: string) {
    let files: string[] = [];
    try {
      files = readdirSync(directory).filter((file) => file.endsWith('.wav'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    for (const file of files) {
      const { samples, sampleRate } = parseWav(readFileSync(join(directory, file)));
      const name = file.slice(0, -'.wav'.length);
      // Now rather than in a call: it takes long enough to delay others.
      for (const rate of RATES) this.#phrases.set(`${name}@${rate}`, resample(samples, sampleRate, rate));
    }
  }

  /** How many phrases were recorded. */
  get size(): number {
    return this.#phrases.size / RATES.length;
  }

  /** The phrase's samples at `sampleRate` Hz. */
  phrase(name: string, sampleRate: number): Int16Array {
    return this.#phrases.get(`${name}@${sampleRate}`) ?? melody(sampleRate);
  }
}

/** C, E, G, C in chords that no test takes for a tone: 2 s. */
function melody(rate: number): Int16Array {
  return Int16Array.from(
    [523, 659, 784, 1047].flatMap((hz) => {
      const high = tone(hz * 1.5, 500, rate, 4000);
      return [...tone(hz, 500, rate, 4000)].map((sample, i) => sample + (high[i] ?? 0));
    }),
  );
}
