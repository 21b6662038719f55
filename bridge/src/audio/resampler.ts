import type { SampleRate } from './format.ts';

// Low-pass filter with a Kaiser window (Oppenheim and Schafer, Discrete-Time Signal Processing,
// section 7.5.3). Edges are fractions of half the lower rate: pass edge and stop edge. At 8 kHz
// they are 3400 and 4320 Hz. Aliases lie above 3680 Hz, which telephones do not pass.
const PASS_EDGE = 0.85;
const STOP_EDGE = 1.08;
const STOP_BAND_DB = 66;
/** Samples converted at once: limits memory whatever the length of a message. */
const BLOCK_SAMPLES = 960;

/** Data of a conversion, shared by all calls of a thread. */
interface Filter {
  /** Output samples per `down` input samples. */
  readonly up: number;
  readonly down: number;
  /** Number of coefficients per phase, a multiple of four. */
  readonly taps: number;
  /**
   * `up` filters of `taps` coefficients each, last first: one for each position of an output sample
   * between two input samples.
   */
  readonly coefficients: Float64Array;
}

const filters = new Map<string, Filter>();

/**
 * Converts 16-bit samples from one rate to another without aliases. The output does not depend on
 * how the stream is cut into messages. The delay is 1.8 to 7.2 ms (half the filter length); this
 * much audio is held back until the next message.
 */
export class Resampler {
  readonly #filter: Filter;
  /** The last samples of earlier blocks, then the block. */
  readonly #samples: Float64Array;
  /** Position of the next output sample from the block's first sample, in steps of 1/up. */
  #at = 0;

  constructor(from: SampleRate, to: SampleRate) {
    this.#filter = filterOf(from, to);
    this.#samples = new Float64Array(this.#filter.taps - 1 + BLOCK_SAMPLES);
  }

  /** Upper limit of the output for `bytes` more input, bytes. */
  maxBytes(bytes: number): number {
    const { up, down } = this.#filter;
    return (Math.ceil(((bytes >> 1) * up) / down) + 1) * 2;
  }

  /**
   * Converts the pcm16 audio `source[start..end)`, writes it to `target` from `targetOffset` on and
   * returns the bytes written. The target must have room (see `maxBytes`). An odd last byte is
   * ignored.
   */
  convert(source: Buffer, start: number, end: number, target: Buffer, targetOffset: number): number {
    let to = targetOffset;
    const last = end - ((end - start) % 2);
    for (let from = start; from < last; from += BLOCK_SAMPLES * 2)
      to = this.#convertBlock(source, from, Math.min(last, from + BLOCK_SAMPLES * 2), target, to);
    return to - targetOffset;
  }

  /** Forgets earlier input: the next input is unrelated to it. */
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
      // Four sums, because an addition need not wait for the one before it: takes a third of the
      // time.
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
  // The filter runs at the lowest common multiple of both rates. Frequencies are fractions of it.
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
    // Normalize each phase to gain 1 for a constant, or the phases would cause an audible tone.
    for (let tap = 0; tap < taps; tap++)
      coefficients[phase * taps + tap] = (coefficients[phase * taps + tap] as number) / sum;
  }
  return { up, down, taps, coefficients };
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of the first kind, order 0, by its series. */
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
