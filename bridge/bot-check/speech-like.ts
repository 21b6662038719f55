import { type Encoding, transcoder } from '../src/audio/format.ts';

// Signals for tests: made by arithmetic from a seed, 8 kHz, samples from -32768 to 32767.

const RATE = 8000;

/** Numbers from 0 to 1, the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = (seed * 7919 + 1) % 2147483647;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** Noise of an even spectrum at `dbfs` (rms). */
export function noise(seed: number, ms: number, dbfs: number): Float64Array {
  const random = seeded(seed);
  const scale = 32768 * 10 ** (dbfs / 20);
  return Float64Array.from({ length: (ms * RATE) / 1000 }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += random();
    return sum * scale;
  });
}

/** A sine at `dbfs` (rms). */
export function tone(hz: number, ms: number, dbfs: number): Float64Array {
  const amplitude = 32768 * Math.SQRT2 * 10 ** (dbfs / 20);
  return Float64Array.from(
    { length: (ms * RATE) / 1000 },
    (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / RATE),
  );
}

/**
 * Speech-like sound: syllables of 120 to 320 ms, each a pulse train with a gliding pitch through
 * three resonances. Every third syllable begins with a hiss. Short pauses separate syllables, long
 * ones phrases. `dbfs` is the rms of a syllable. The sound begins with a voiced syllable at once.
 */
export function speechLike(seed: number, ms: number, dbfs: number, pitchHz: number): Float64Array {
  const random = seeded(seed);
  const total = (ms * RATE) / 1000;
  const out = new Float64Array(total);
  let at = 0;
  for (let n = 0; at < total; n++) {
    const length = Math.round((0.12 + 0.2 * random()) * RATE);
    const syllable = voiced(random, length, pitchHz * (0.8 + 0.4 * random()));
    if (n % 3 === 2) hiss(random, syllable);
    const rms = Math.sqrt(syllable.reduce((sum, value) => sum + value * value, 0) / length);
    const scale = (32768 * 10 ** ((dbfs + 4 * (random() - 0.5)) / 20)) / rms;
    for (let i = 0; i < length && at + i < total; i++) out[at + i] = (syllable[i] as number) * scale;
    const pauseMs = n % 6 === 5 ? 300 + 500 * random() : 20 + 60 * random();
    at += length + Math.round((pauseMs * RATE) / 1000);
  }
  return out;
}

function voiced(random: () => number, length: number, pitchHz: number): Float64Array {
  let sound: Float64Array = new Float64Array(length);
  let phase = 1;
  for (let i = 0; i < length; i++) {
    phase += (pitchHz * (1 + (0.15 * i) / length) * (1 + 0.02 * (random() - 0.5))) / RATE;
    if (phase >= 1) {
      sound[i] = 1;
      phase -= 1;
    }
  }
  for (const [from, to] of [
    [300, 800],
    [900, 2200],
    [2300, 3200],
  ] as const)
    sound = resonance(sound, from + (to - from) * random());
  // Up within 15 ms, down within 60.
  return sound.map((value, i) => value * Math.min(1, i / 120, (length - i) / 480));
}

function resonance(sound: Float64Array, hz: number): Float64Array {
  const radius = Math.exp((-Math.PI * 90) / RATE);
  const a1 = 2 * radius * Math.cos((2 * Math.PI * hz) / RATE);
  const a2 = -radius * radius;
  const out = new Float64Array(sound.length);
  for (let i = 0; i < sound.length; i++)
    out[i] = (sound[i] as number) + a1 * (out[i - 1] ?? 0) + a2 * (out[i - 2] ?? 0);
  return out;
}

function hiss(random: () => number, syllable: Float64Array): void {
  const peak = syllable.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let last = 0;
  for (let i = 0; i < 480; i++) {
    const white = random() - 0.5;
    syllable[i] = (white - last) * peak * 0.5;
    last = white;
  }
}

/** `sound` as it comes back over a line: delayed and softer, once for every tap. */
export function echo(sound: Float64Array, taps: readonly { ms: number; db: number }[]): Float64Array {
  const out = new Float64Array(sound.length);
  for (const { ms, db } of taps) {
    const delay = Math.round((ms * RATE) / 1000);
    const gain = 10 ** (db / 20);
    for (let i = delay; i < sound.length; i++)
      out[i] = (out[i] as number) + (sound[i - delay] as number) * gain;
  }
  return out;
}

/** Adds `sounds` up, the first as long as the result, each begun at its `atMs`. */
export function mix(
  first: Float64Array,
  ...others: readonly { sound: Float64Array; atMs: number }[]
): Float64Array {
  const out = Float64Array.from(first);
  for (const { sound, atMs } of others) {
    const from = Math.round((atMs * RATE) / 1000);
    for (let i = 0; i < sound.length && from + i < out.length; i++)
      out[from + i] = (out[from + i] as number) + (sound[i] as number);
  }
  return out;
}

/** The sound in an encoding, loudest values clipped. */
export function encoded(sound: Float64Array, encoding: Encoding): Buffer {
  const pcm = Buffer.alloc(sound.length * 2);
  for (let i = 0; i < sound.length; i++)
    pcm.writeInt16LE(Math.round(Math.max(-32768, Math.min(32767, sound[i] as number))), i * 2);
  const target = Buffer.alloc(pcm.length);
  return target.subarray(0, transcoder('pcm16', encoding)(pcm, 0, pcm.length, target, 0));
}
