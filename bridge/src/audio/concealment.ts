import type { Fade } from './fade.ts';

// A lost packet sounds like the one before it, ever softer: loudness at the edges of the frames put in its place.
const GAINS = [1, 0.7, 0.4, 0] as const;
const FRAMES = GAINS.length - 1;

/** Makes the frames that stand in for lost packets. */
export class Concealment {
  readonly #fade: Fade;
  /** What was heard last, a frame of it. */
  readonly #last: Buffer;
  readonly #frame: Buffer;
  /** Frames made since something was heard. */
  #made = 0;

  constructor(fade: Fade, silentFrame: Buffer) {
    this.#fade = fade;
    this.#last = Buffer.from(silentFrame);
    this.#frame = Buffer.from(silentFrame);
  }

  /** Takes a copy of a packet's audio. */
  heard(source: Buffer, start: number, end: number): void {
    this.#made = 0;
    const last = this.#last;
    const bytes = Math.min(end - start, last.length);
    if (bytes < last.length) last.copyWithin(0, bytes);
    source.copy(last, last.length - bytes, end - bytes, end);
  }

  /** The frame in the next lost one's place, valid until the one after; undefined: from now on silence. */
  next(): Buffer | undefined {
    const made = this.#made;
    if (made === FRAMES) return undefined;
    const [from, to] = [GAINS[made] as number, GAINS[made + 1] as number];
    this.#fade(this.#last, 0, this.#last.length, this.#frame, from, to);
    this.#made += 1;
    return this.#frame;
  }

  /** There is silence: nothing is repeated into it. */
  stop(): undefined {
    this.#made = FRAMES;
  }
}
