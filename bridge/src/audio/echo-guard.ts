import { type AudioFormat, bytesPerSample, decodeTable, FRAME_MS } from './format.ts';

/** Both sides are compared below 1 kHz, where voices are strongest: sums of 4 samples at 8 kHz. */
const RATE_KHZ = 8;
const STEP = 4;
/** What was heard is compared as a window of this length with what was played up to so long ago. */
const WINDOW = 60 * RATE_KHZ;
const MAX_LAG = 500 * RATE_KHZ;
/** Lags tried: every second one, the best one's neighbours, and those close to the last echo's. */
const COARSE = 2;
const NEAR_LAST = 8;
/** Frames of 20 ms that hold all lags. */
const FRAMES = 28;
/**
 * Likeness (squared correlation) that makes an echo, by how loud it is relative to what was played. A single reflection is
 * very much alike, a room's many are less so, and of two voices some stretch always is: the less alike, the closer to this
 * line's usual echo its level has to be.
 */
const VERY_ALIKE = 0.9;
const ALIKE = 2 / 3;
const HARDLY_ALIKE = 0.2;
/** The most power for each: -3 dB; 6 dB and 3 dB over what has come back so far; -6 and -16 dB before that is known. */
const MOST_GAIN = 0.5;
const ALIKE_MARGIN = 4;
const HARDLY_ALIKE_MARGIN = 2;
const ALIKE_FIRST_GAIN = 0.25;
const HARDLY_ALIKE_FIRST_GAIN = 0.025;
/** How fast that is learned: within about two seconds, and not trusted before half a second of audio. */
const LEARN = 0.01;
const LEARN_FRAMES = 25;

/** The last `capacity` values of a stream, in one piece of memory. */
class History {
  readonly data: Float32Array;
  readonly #capacity: number;
  /** Where the next value goes; those before it are the history. */
  end: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.data = new Float32Array(capacity * 2);
    this.end = capacity;
  }

  push(value: number): void {
    if (this.end === this.data.length) {
      this.data.copyWithin(0, this.end - this.#capacity);
      this.end = this.#capacity;
    }
    this.data[this.end++] = value;
  }
}

/**
 * Tells a caller's voice from the bot's own, come back over the line: compares what is heard with what was played up to
 * 500 ms before, at every delay. An echo is alike and not louder than this line's echo has been. Costs nothing to speak of
 * while frames are only noted; a search takes about as long as stated in `nearPower`.
 */
export class EchoGuard {
  readonly #read: (source: Buffer, at: number) => number;
  readonly #stride: number;
  /** What was played, at 8 kHz, each value the sum of 4 samples. */
  readonly #played = new History(MAX_LAG + WINDOW + RATE_KHZ * FRAME_MS);
  /** What was heard, at 2 kHz, likewise. */
  readonly #heard = new History(WINDOW / STEP);
  readonly #playedPowers = new Float32Array(FRAMES);
  #playedFrame = 0;
  readonly #taps = new Float64Array(STEP);
  #tap = 0;
  #playedSum = 0;
  #heardSum = 0;
  #heardCount = 0;
  #power = 0;
  /** Of the most alike stretch of what was played, in samples. */
  #lag = 0;
  #likeness = 0;
  /** Energy of what is heard relative to what was played, at that lag. */
  #ratio = 0;
  #learnedFrames = 0;
  #learnedHeard = 0;
  #learnedPlayed = 0;

  constructor(format: AudioFormat) {
    const parts = format.sampleRate / 1000 / RATE_KHZ;
    const scale = 1 / (STEP * parts * 32768);
    const width = bytesPerSample(format.encoding);
    this.#stride = parts * width;
    if (format.encoding === 'pcm16') {
      this.#read = (source, at) => {
        let sum = 0;
        for (let i = 0; i < parts; i++) sum += source.readInt16LE(at + i * width);
        return sum * scale;
      };
    } else {
      const table = Float32Array.from(decodeTable(format.encoding), (sample) => sample * scale);
      this.#read = (source, at) => table[source[at] as number] as number;
    }
  }

  /** Notes a frame that is sent to the caller, silence included. */
  played(source: Buffer, start: number, end: number): void {
    let energy = 0;
    for (let at = start; at < end; at += this.#stride) {
      const sample = this.#read(source, at);
      this.#playedSum += sample - (this.#taps[this.#tap] as number);
      this.#taps[this.#tap] = sample;
      this.#tap = (this.#tap + 1) % STEP;
      this.#played.push(this.#playedSum);
      energy += this.#playedSum * this.#playedSum;
    }
    this.#playedFrame = (this.#playedFrame + 1) % FRAMES;
    this.#playedPowers[this.#playedFrame] = (energy * this.#stride) / (end - start);
  }

  /** Notes a frame from the caller; returns its power below 1 kHz (mean square, 1 is full scale). */
  heard(source: Buffer, start: number, end: number): number {
    let energy = 0;
    let count = 0;
    for (let at = start; at < end; at += this.#stride) {
      this.#heardSum += this.#read(source, at);
      if (++this.#heardCount < STEP) continue;
      this.#heard.push(this.#heardSum);
      energy += this.#heardSum * this.#heardSum;
      count++;
      this.#heardSum = 0;
      this.#heardCount = 0;
    }
    this.#power = count === 0 ? 0 : energy / count;
    return this.#power;
  }

  /** The power in the last frame heard that is no echo: 0 for an echo. Takes 5 µs where the echo's delay is known, else up to 1 ms. */
  nearPower(): number {
    const loudest = Math.max(...this.#playedPowers);
    if (this.#power > loudest * MOST_GAIN) return this.#power;
    this.#likeness = 0;
    this.#search(this.#lag - NEAR_LAST, this.#lag + NEAR_LAST, 1);
    if (this.#isEcho()) return 0;
    this.#search(0, MAX_LAG, COARSE);
    this.#search(this.#lag - 1, this.#lag + 1, 1);
    return this.#isEcho() ? 0 : this.#power * (1 - this.#likeness);
  }

  /** Learns how loud this line's echo is, from a frame that was heard while the bot was playing and was no speech. */
  learn(): void {
    this.#learnedFrames++;
    this.#learnedHeard += (this.#power - this.#learnedHeard) * LEARN;
    this.#learnedPlayed += ((this.#playedPowers[this.#playedFrame] as number) - this.#learnedPlayed) * LEARN;
  }

  #isEcho(): boolean {
    const likeness = this.#likeness;
    const gain = this.#ratio * likeness;
    if (likeness < HARDLY_ALIKE || gain > MOST_GAIN) return false;
    if (likeness >= VERY_ALIKE) return true;
    const known = this.#learnedFrames >= LEARN_FRAMES ? this.#learnedHeard / this.#learnedPlayed : undefined;
    if (likeness >= ALIKE && gain <= (known === undefined ? ALIKE_FIRST_GAIN : known * ALIKE_MARGIN))
      return true;
    return this.#ratio <= (known === undefined ? HARDLY_ALIKE_FIRST_GAIN : known * HARDLY_ALIKE_MARGIN);
  }

  /** Looks for the lag, in samples, at which what was played is most like what is heard. */
  #search(firstLag: number, lastLag: number, step: number): void {
    const heard = this.#heard.data;
    const heardEnd = this.#heard.end;
    const played = this.#played.data;
    const count = WINDOW / STEP;
    let heardEnergy = 0;
    for (let i = heardEnd - count; i < heardEnd; i++) heardEnergy += (heard[i] as number) ** 2;
    for (let lag = Math.max(0, firstLag); lag <= Math.min(lastLag, MAX_LAG); lag += step) {
      let product = 0;
      let energy = 0;
      // The last value of either side is the sum of its last 4 samples.
      let at = this.#played.end - lag - WINDOW + STEP - 1;
      for (let i = heardEnd - count; i < heardEnd; i++, at += STEP) {
        const value = played[at] as number;
        product += (heard[i] as number) * value;
        energy += value * value;
      }
      if (energy === 0) continue;
      const likeness = (product * product) / (energy * heardEnergy);
      if (likeness <= this.#likeness) continue;
      this.#likeness = likeness;
      this.#lag = lag;
      this.#ratio = heardEnergy / energy;
    }
  }
}
