import type { Fade } from './fade.ts';

// Gain at the edges of the replacement frames: each repeats the last frame, with lower volume.
const GAINS = [1, 0.7, 0.4, 0] as const;
const FRAMES = GAINS.length - 1;

/** Makes frames that replace lost packets. */
export class Concealment {
  readonly #fade: Fade;
  /** Last frame of received audio. */
  readonly #last: Buffer;
  readonly #frame: Buffer;
  /** Replacement frames made since audio was received. */
  #made = 0;

  constructor(fade: Fade, silentFrame: Buffer) {
    this.#fade = fade;
    this.#last = Buffer.from(silentFrame);
    this.#frame = Buffer.from(silentFrame);
  }

  /** Copies the audio of a received packet. */
  heard(source: Buffer, start: number, end: number): void {
    this.#made = 0;
    const last = this.#last;
    const bytes = Math.min(end - start, last.length);
    if (bytes < last.length) last.copyWithin(0, bytes);
    source.copy(last, last.length - bytes, end - bytes, end);
  }

  /**
   * Returns the next replacement frame, valid until the next call. Undefined: silence from now on.
   */
  next(): Buffer | undefined {
    const made = this.#made;
    if (made === FRAMES) return undefined;
    const from = GAINS[made] as number;
    const to = GAINS[made + 1] as number;
    this.#fade(this.#last, 0, this.#last.length, this.#frame, from, to);
    this.#made += 1;
    return this.#frame;
  }

  /** Silence follows. Nothing is repeated into it. */
  stop(): undefined {
    this.#made = FRAMES;
  }
}
