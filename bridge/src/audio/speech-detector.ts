// Powers are mean squares, 1 is full scale. Frames are 20 ms.

/** Power over the floor at which speech begins (10 dB) and may have ended (6 dB). */
const BEGIN_RATIO = 10;
const END_RATIO = 4;
/** -48 dBFS: quieter frames are not speech. */
const LEAST_POWER = 1.6e-5;
/** -70 dBFS: lowest floor, for a line with digital silence. */
const LEAST_FLOOR = 1e-7;
/** -50 dBFS: floor before anything was received. */
const FIRST_FLOOR = 1e-5;
// Rates of the floor: it falls within 100 ms, follows noise within 1 s, and rises by 1 dB per
// second during possible speech.
const FALL = 0.2;
const FOLLOW = 0.02;
const RISE = 1.0046;
/** Speech begins with this many loud frames among the last four. A click has fewer. */
const LOUD_FRAMES = 3;
const RECENT = 0b1111;
/** Speech ends after 300 ms without a loud frame. */
const END_FRAMES = 15;

/**
 * Tells speech from noise by its power over a floor that follows the line's noise. Takes one power
 * value per 20 ms frame.
 */
export class SpeechDetector {
  #floor = FIRST_FLOOR;
  /** The last four frames, one bit each: 1 is loud. */
  #recent = 0;
  #quietFrames = 0;
  #speaking = false;

  /** Whether speech has begun and not ended. */
  get speaking(): boolean {
    return this.#speaking;
  }

  /** Power from which a frame counts as speech. It is lower once speech has begun. */
  get threshold(): number {
    return Math.max(LEAST_POWER, this.#floor * BEGIN_RATIO) * (this.#speaking ? END_RATIO / BEGIN_RATIO : 1);
  }

  /** Takes a frame that is not checked for speech. Only the floor follows. */
  observe(power: number): void {
    this.#recent = 0;
    this.#adapt(power);
  }

  /**
   * Takes the power of a frame, and the part of it that may be speech. Returns when speech begins
   * and ends.
   */
  push(power: number, speechPower: number): 'start' | 'stop' | undefined {
    const isLoud = speechPower >= this.threshold;
    this.#recent = ((this.#recent << 1) | (isLoud ? 1 : 0)) & RECENT;
    this.#quietFrames = isLoud ? 0 : this.#quietFrames + 1;
    this.#adapt(power);
    if (this.#speaking) {
      if (this.#quietFrames < END_FRAMES) return undefined;
      this.#speaking = false;
      this.#recent = 0;
      return 'stop';
    }
    if (countBits(this.#recent) < LOUD_FRAMES) return undefined;
    this.#speaking = true;
    this.#quietFrames = 0;
    return 'start';
  }

  #adapt(power: number): void {
    if (power < this.#floor) this.#floor += (power - this.#floor) * FALL;
    else if (power < this.threshold) this.#floor += (power - this.#floor) * FOLLOW;
    else this.#floor *= RISE;
    this.#floor = Math.max(this.#floor, LEAST_FLOOR);
  }
}

function countBits(four: number): number {
  return (four & 1) + ((four >> 1) & 1) + ((four >> 2) & 1) + ((four >> 3) & 1);
}
