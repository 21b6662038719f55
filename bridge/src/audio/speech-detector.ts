// Powers are mean squares, 1 is full scale; frames are 20 ms.

/** Louder than the floor by this: speech has begun (10 dB), may have ended (6 dB). */
const BEGIN_RATIO = 10;
const END_RATIO = 4;
/** -48 dBFS: nobody speaks below it. */
const LEAST_POWER = 1.6e-5;
/** -70 dBFS: a line that is digitally silent has a floor all the same. */
const LEAST_FLOOR = 1e-7;
/** Until the line has been heard: -50 dBFS. */
const FIRST_FLOOR = 1e-5;
// The floor falls within 100 ms, follows noise within a second, and rises by 1 dB a second under what may be speech.
const FALL = 0.2;
const FOLLOW = 0.02;
const RISE = 1.0046;
/** Speech begins with this many loud ones of the last four frames: a click or a knock has fewer. */
const LOUD_FRAMES = 3;
const RECENT = 0b1111;
/** And has ended after 300 ms without one. */
const END_FRAMES = 15;

/** Tells speech from noise by its power over a floor that follows the line's own noise. Gets one number a frame of 20 ms. */
export class SpeechDetector {
  #floor = FIRST_FLOOR;
  /** The last four frames, a bit each: 1 is loud. */
  #recent = 0;
  #quietFrames = 0;
  #speaking = false;

  /** Whether speech has begun and not ended. */
  get speaking(): boolean {
    return this.#speaking;
  }

  /** Power from which on a frame counts as speech: less once speech has begun. */
  get threshold(): number {
    return Math.max(LEAST_POWER, this.#floor * BEGIN_RATIO) * (this.#speaking ? END_RATIO / BEGIN_RATIO : 1);
  }

  /** Takes a frame in which speech is of no interest: only the floor follows. */
  observe(power: number): void {
    this.#recent = 0;
    this.#adapt(power);
  }

  /** Takes a frame: its power and, of this, the power of what may be speech. Says when speech begins and ends. */
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
