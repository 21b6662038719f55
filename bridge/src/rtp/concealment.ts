/** Copies `source[start..end)` to the beginning of `target`, its loudness going from `fromGain` to `toGain`. */
export type Fade = (
  source: Buffer,
  start: number,
  end: number,
  target: Buffer,
  fromGain: number,
  toGain: number,
) => void;

// A lost packet sounds like the one before it, ever softer: loudness at the edges of the frames put in its place.
const GAINS = [1, 0.7, 0.4, 0] as const;
const FRAMES = GAINS.length - 1;

/** Makes the frames that stand in for lost packets. */
export class Concealment {
  readonly #fade: Fade;
  readonly #frameBytes: number;
  /** What was heard last is `#last[#lastEnd - #frameBytes..#lastEnd)`. */
  #last: Buffer;
  #lastEnd: number;
  readonly #frame: Buffer;
  /** Frames made since something was heard. */
  #made = 0;

  constructor(fade: Fade, silentFrame: Buffer) {
    this.#fade = fade;
    this.#frameBytes = silentFrame.length;
    this.#last = silentFrame;
    this.#lastEnd = silentFrame.length;
    this.#frame = Buffer.from(silentFrame);
  }

  /** Takes a packet's audio, which must not change any more: the usual one, of a frame at least, is not copied. */
  heard(source: Buffer, start: number, end: number): void {
    this.#made = 0;
    const missing = this.#frameBytes - (end - start);
    if (missing <= 0) {
      this.#last = source;
      this.#lastEnd = end;
      return;
    }
    const before = this.#last.subarray(this.#lastEnd - missing, this.#lastEnd);
    this.#last = Buffer.concat([before, source.subarray(start, end)]);
    this.#lastEnd = this.#frameBytes;
  }

  /** The frame in the next lost one's place, valid until the one after; undefined: from now on silence. */
  next(): Buffer | undefined {
    const made = this.#made;
    if (made === FRAMES) return undefined;
    const [from, to] = [GAINS[made] as number, GAINS[made + 1] as number];
    this.#fade(this.#last, this.#lastEnd - this.#frameBytes, this.#lastEnd, this.#frame, from, to);
    this.#made += 1;
    return this.#frame;
  }

  /** There is silence: nothing is repeated into it. */
  stop(): undefined {
    this.#made = FRAMES;
  }
}
