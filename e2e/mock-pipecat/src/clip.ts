/**
 * How audio is cut into messages, and when these are sent. The first two go at once: one chunk of
 * lead, as Pipecat does.
 */
export interface Pace {
  /** Audio in a message, in ms; Infinity: all in one. */
  readonly chunkMs: number;
  /** From one message to the next, in ms. */
  readonly intervalMs: number;
  /**
   * Messages go only at multiples of this after the clip's start, in ms. 0: whenever they are due.
   */
  readonly gridMs: number;
}

/** As a Pipecat bot at 8 kHz speaks: 40 ms every 40 ms. */
export const LIVE: Pace = { chunkMs: 40, intervalMs: 40, gridMs: 0 };
/** Everything in one message. */
export const AT_ONCE: Pace = { chunkMs: Infinity, intervalMs: 0, gridMs: 0 };

/** 40 ms messages at `factor` times real time. */
export function faster(factor: number): Pace {
  return { chunkMs: 40, intervalMs: 40 / factor, gridMs: 0 };
}

/** Audio with its pace: what to send next, and when. Times in ms from the clip's begin. */
export class Clip {
  #samples: Int16Array;
  #sampleRate: number;
  #pace: Pace;
  #loop: boolean;
  #offset = 0;
  #chunks = 0;

  /** With `loop` the clip never ends. */
  constructor(samples: Int16Array, sampleRate: number, pace: Pace, loop = false) {
    this.#samples = samples;
    this.#sampleRate = sampleRate;
    this.#pace = pace;
    this.#loop = loop && samples.length > 0;
  }

  /** Nothing is left to send. */
  get done(): boolean {
    return !this.#loop && this.#offset >= this.#samples.length;
  }

  /** When the next chunk is due: absolute, so that late timers add up to no drift. */
  get dueMs(): number {
    const { intervalMs, gridMs } = this.#pace;
    const dueMs = Math.max(0, this.#chunks - 1) * intervalMs;
    return gridMs > 0 ? Math.floor(dueMs / gridMs) * gridMs : dueMs;
  }

  /** When the clip is over at its pace, if it is not looped: the next clip's begin. */
  get endMs(): number {
    return ((this.#samples.length / this.#sampleRate) * 1000 * this.#pace.intervalMs) / this.#pace.chunkMs;
  }

  /** The next chunk; shorter at the end. */
  take(): Int16Array {
    const all = this.#samples;
    const wanted = Math.min(Math.round((this.#pace.chunkMs * this.#sampleRate) / 1000), all.length);
    const from = this.#offset;
    this.#chunks++;
    if (!this.#loop || from + wanted <= all.length) {
      this.#offset = this.#loop ? (from + wanted) % all.length : from + wanted;
      return all.subarray(from, from + wanted);
    }
    this.#offset = from + wanted - all.length;
    return Int16Array.of(...all.subarray(from), ...all.subarray(0, this.#offset));
  }
}
