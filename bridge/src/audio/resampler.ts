import type { SampleRate } from './format.ts';

// A low-pass of the type of Kaiser (Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.5.3), in parts of half the lower
// rate: what is below the pass edge stays, nothing above the stop edge comes through. At 8 kHz: 3400 and 4320 Hz, so that what little is
// mirrored lies above 3680 Hz, which no telephone passes on.
const PASS_EDGE = 0.85;
const STOP_EDGE = 1.08;
const STOP_BAND_DB = 66;
/** Input that is converted at once: memory has this limit, whatever the length of a message. */
const BLOCK_SAMPLES = 960;

/** What a conversion needs; the same for all calls of a thread. */
interface Filter {
  /** Output samples per so many (`down`) input samples. */
  readonly up: number;
  readonly down: number;
  /** A multiple of four. */
  readonly taps: number;
  /** `up` filters of `taps` coefficients each, last first: one for each place of an output sample between two input samples. */
  readonly coefficients: Float64Array;
}

const filters = new Map<string, Filter>();

/**
 * Converts 16-bit samples from one rate to another, without aliases: what it makes of a stream does not depend on where the stream was
 * cut. It delays by 1.8 to 7.2 ms (half its filter), which is what it keeps of the last message until the next one.
 */
export class Resampler {
  readonly #filter: Filter;
  /** The last samples of the blocks before, and the block. */
  readonly #samples: Float64Array;
  /** Place of the next output sample, counted from the block's first sample in steps of 1/up. */
  #at = 0;

  constructor(from: SampleRate, to: SampleRate) {
    this.#filter = filterOf(from, to);
    this.#samples = new Float64Array(this.#filter.taps - 1 + BLOCK_SAMPLES);
  }

  /** Bytes that `bytes` more can become at most. */
  maxBytes(bytes: number): number {
    const { up, down } = this.#filter;
    return (Math.ceil(((bytes >> 1) * up) / down) + 1) * 2;
  }

  /**
   * Converts the pcm16 in `source[start..end)` and writes it to `target` from `targetOffset` on, which must have room (`maxBytes`);
   * returns the bytes written. An odd last byte is left out.
   */
  convert(source: Buffer, start: number, end: number, target: Buffer, targetOffset: number): number {
    let to = targetOffset;
    const last = end - ((end - start) % 2);
    for (let from = start; from < last; from += BLOCK_SAMPLES * 2)
      to = this.#convertBlock(source, from, Math.min(last, from + BLOCK_SAMPLES * 2), target, to);
    return to - targetOffset;
  }

  /** What comes next has nothing to do with what came before. */
  restart(): void {
    this.#samples.fill(0);
    this.#at = 0;
  }

  #convertBlock(source: Buffer, start: number, end: number, target: Buffer, targetOffset: number): number {
    const { up, down, taps, coefficients } = this.#filter;
    const samples = this.#samples;
    const count = (end - start) >> 1;
    for (let i = 0, from = start; i < count; i++, from += 2)
      samples[taps - 1 + i] = (((source[from + 1] as number) << 24) >> 16) | (source[from] as number);
    let to = targetOffset;
    let at = this.#at;
    for (; at < count * up; at += down, to += 2) {
      const first = Math.floor(at / up);
      const coefficient = (at % up) * taps;
      // Four sums, for an addition need not wait for the one before it: a third of the time.
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      for (let i = 0; i < taps; i += 4) {
        a += (coefficients[coefficient + i] as number) * (samples[first + i] as number);
        b += (coefficients[coefficient + i + 1] as number) * (samples[first + i + 1] as number);
        c += (coefficients[coefficient + i + 2] as number) * (samples[first + i + 2] as number);
        d += (coefficients[coefficient + i + 3] as number) * (samples[first + i + 3] as number);
      }
      const sample = Math.max(-32_768, Math.min(32_767, Math.round(a + b + c + d)));
      target[to] = sample & 0xff;
      target[to + 1] = (sample >> 8) & 0xff;
    }
    this.#at = at - count * up;
    samples.copyWithin(0, count, count + taps - 1);
    return to;
  }
}

function filterOf(from: SampleRate, to: SampleRate): Filter {
  const name = `${from} ${to}`;
  const filter = filters.get(name) ?? designFilter(from, to);
  filters.set(name, filter);
  return filter;
}

function designFilter(from: SampleRate, to: SampleRate): Filter {
  const common = greatestCommonDivisor(from, to);
  const up = to / common;
  const down = from / common;
  // The filter's own rate is the lowest that both are a part of; frequencies are in parts of it.
  const half = Math.min(from, to) / 2 / (from * up);
  const width = (STOP_EDGE - PASS_EDGE) * half;
  const cutOff = ((STOP_EDGE + PASS_EDGE) / 2) * half;
  const order = (STOP_BAND_DB - 8) / (2.285 * 2 * Math.PI * width);
  const taps = Math.ceil((order + 1) / up / 4) * 4;
  const length = taps * up;
  const beta = 0.1102 * (STOP_BAND_DB - 8.7);
  const coefficients = new Float64Array(length);
  for (let phase = 0; phase < up; phase++) {
    const place = (tap: number) => phase + up * (taps - 1 - tap);
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const offset = place(tap) - (length - 1) / 2;
      const window = bessel(beta * Math.sqrt(Math.max(0, 1 - ((2 * offset) / (length - 1)) ** 2)));
      const value = sinc(2 * cutOff * offset) * window;
      coefficients[phase * taps + tap] = value;
      sum += value;
    }
    // Each phase passes a constant as it is, or the rate between the samples would be heard as a tone.
    for (let tap = 0; tap < taps; tap++)
      coefficients[phase * taps + tap] = (coefficients[phase * taps + tap] as number) / sum;
  }
  return { up, down, taps, coefficients };
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** The modified Bessel function of the first kind and order 0, by its series. */
function bessel(x: number): number {
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-12; k++) {
    term *= (x / 2 / k) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
