import { bytesPerSample, type Encoding, sampleReader } from './format.ts';

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
