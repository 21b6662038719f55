import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resample } from './format.ts';
import { tone } from './tones.ts';
import { parseWav, type Recording } from './wav.ts';

/** The bot's phrases: `greeting`, `goodbye` and the digits `0` to `9`, spoken, or a melody where nothing was recorded. */
export class Voice {
  #recordings = new Map<string, Recording>();
  #resampled = new Map<string, Int16Array>();

  /** Reads NAME.wav for every phrase in `directory`; a directory that is not there leaves only the melody. */
  constructor(directory: string) {
    let files: string[] = [];
    try {
      files = readdirSync(directory).filter((file) => file.endsWith('.wav'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    for (const file of files) {
      this.#recordings.set(file.slice(0, -'.wav'.length), parseWav(readFileSync(join(directory, file))));
    }
  }

  /** How many phrases were recorded. */
  get size(): number {
    return this.#recordings.size;
  }

  /** The phrase's samples at `sampleRate` Hz. */
  phrase(name: string, sampleRate: number): Int16Array {
    const key = `${name}@${sampleRate}`;
    let samples = this.#resampled.get(key);
    if (samples === undefined) {
      const recording = this.#recordings.get(name);
      samples = recording
        ? resample(recording.samples, recording.sampleRate, sampleRate)
        : melody(sampleRate);
      this.#resampled.set(key, samples);
    }
    return samples;
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
