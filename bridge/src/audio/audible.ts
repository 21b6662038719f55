import { bytesPerSample, type Encoding, quietSample, sampleReader } from './format.ts';

/** -48 dBFS, mean square of 16 bit samples: nobody speaks below it, and the noise of a line is. */
const LEAST_POWER = 1.6e-5 * 32_768 ** 2;
/** Of so many samples one is looked at: enough for a telephone's band. */
const STRIDE = 4;

/** Makes the function that tells whether anything is to be heard in `source[start..end)`, a frame of whole samples. */
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

/** Whether anything is to be heard in a part of 160 samples of the audio `source[0..length)`; half a sample at its end does not count. */
export function hasSound(source: Buffer, length: number, encoding: Encoding): boolean {
  const bytes = bytesPerSample(encoding);
  const end = length - (length % bytes);
  for (let at = 0; at < end; at += PART_SAMPLES * bytes)
    if (audible[encoding](source, at, Math.min(end, at + PART_SAMPLES * bytes))) return true;
  return false;
}

/** What a resampler leaves of the sound before may stand before the silence, as a part of the message. */
const REST_PART = 0.05;

/**
 * Whether the audio `source[0..length)` is at least `minSamples` samples of digital silence, which may have a short rest of a sound before
 * it. Looks at short audio not at all, and from the end on, so that speech costs nothing.
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
