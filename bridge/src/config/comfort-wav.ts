import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { WAV_RATE, wavSamples } from '../audio/wav-file.ts';

/** All calls share the samples, but they stay in memory. */
const SECONDS_MAX = 300;

/**
 * The path of a WAV file. The value becomes its samples, pcm16 at 8000 Hz, in memory that threads
 * share.
 */
export const comfortWav = z.string().transform((path, context): Uint8Array => {
  try {
    const samples = wavSamples(readFileSync(path));
    if (samples.length > SECONDS_MAX * WAV_RATE * 2) throw new Error(`is longer than ${SECONDS_MAX} s`);
    const shared = new Uint8Array(new SharedArrayBuffer(samples.length));
    shared.set(samples);
    return shared;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    context.addIssue({ code: 'custom', message: code === undefined ? message : `cannot be read (${code})` });
    return z.NEVER;
  }
});
