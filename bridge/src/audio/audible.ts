import { bytesPerSample, type Encoding, quietSample, sampleReader } from './format.ts';

/** Mean square of 16-bit samples at -48 dBFS: above line noise and below speech. */
const LEAST_POWER = 1.6e-5 * 32_768 ** 2;
/** Only every fourth sample is read: enough for telephone bandwidth. */
const STRIDE = 4;

/**
 * Makes a function that tells whether the frame `source[start..end)` of whole samples is louder
 * than -48 dBFS.
 */
export function audibleIn(encoding: Encoding): (source: Buffer, start: number, end: number) => boolean {
  const read = sampleReader(encoding);
  const step = bytesPerSample(encoding) * STRIDE;
  return (source, start, end) => {
    let energy = 0;
    let count = 0;
    for (let at = start; at < end; at += step) {
      const sample = read(source, at);
      energy += sample * sample;
      count += 1;
    }
    return energy > LEAST_POWER * count;
  };
}

/** 20 ms at 8 kHz. */
const PART_SAMPLES = 160;
const audible = { pcmu: audibleIn('pcmu'), pcma: audibleIn('pcma'), pcm16: audibleIn('pcm16') };

/**
 * Whether any part of 160 samples in the audio `source[0..length)` is louder than -48 dBFS. Half a
 * sample at its end is ignored.
 */
export function hasSound(source: Buffer, length: number, encoding: Encoding): boolean {
  const bytes = bytesPerSample(encoding);
  const end = length - (length % bytes);
  for (let at = 0; at < end; at += PART_SAMPLES * bytes)
    if (audible[encoding](source, at, Math.min(end, at + PART_SAMPLES * bytes))) return true;
  return false;
}

/** Share of a message that may be sound before the silence: the rest that a resampler held back. */
const REST_PART = 0.05;

/**
 * Whether the audio `source[0..length)` has at least `minSamples` samples of digital silence. A
 * short rest of sound before the silence is allowed. Reads nothing of shorter audio, and reads from
 * the end, so that speech costs little.
 */
export function isLongSilence(
  source: Buffer,
  length: number,
  encoding: Encoding,
  minSamples: number,
): boolean {
  const bytes = bytesPerSample(encoding);
  const samples = Math.floor(length / bytes);
  if (samples < minSamples) return false;
  const isQuiet = quietSample(encoding);
  let silent = 0;
  while (silent < samples && isQuiet(source, (samples - silent - 1) * bytes)) silent++;
  return silent >= minSamples && samples - silent <= samples * REST_PART;
}
