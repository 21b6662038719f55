import { type AudioFormat, bytesPerSample, decodeTable, FRAME_MS } from './format.ts';

/**
 * Both directions are compared below 1 kHz, where speech is strongest: as sums of 4 samples at 8
 * kHz.
 */
const RATE_KHZ = 8;
const STEP = 4;
/** A window of received audio is compared with the audio sent up to 500 ms before, in samples. */
const WINDOW = 60 * RATE_KHZ;
const MAX_LAG = 500 * RATE_KHZ;
/** Step of the lag in the full search, and range around the last echo's lag that is tried first. */
const COARSE = 2;
const NEAR_LAST = 8;
/** Number of 20 ms frames that cover all lags. */
const FRAMES = 28;
/**
 * Thresholds of the squared correlation for an echo. A single reflection correlates strongly, the
 * reflections of a room less. Two voices always correlate weakly somewhere. So the weaker the
 * correlation, the closer the level must be to the usual echo level of this line.
 */
const VERY_ALIKE = 0.9;
const ALIKE = 2 / 3;
const HARDLY_ALIKE = 0.2;
/**
 * Highest power of an echo relative to the sent audio. MOST_GAIN: -3 dB, for any echo. Margins: 6
 * dB and 3 dB above the learned level. First gains: -6 dB and -16 dB until a level is learned.
 */
const MOST_GAIN = 0.5;
const ALIKE_MARGIN = 4;
const HARDLY_ALIKE_MARGIN = 2;
const ALIKE_FIRST_GAIN = 0.25;
const HARDLY_ALIKE_FIRST_GAIN = 0.025;
/** Learning rate of the echo level: about 2 s. It is used after 0.5 s of audio. */
const LEARN = 0.01;
const LEARN_FRAMES = 25;

/** The last `capacity` values of a stream, contiguous in memory. */
class History {
  readonly data: Float32Array;
  readonly #capacity: number;
  /** Index of the next value. The values before it are the history. */
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
 * Tells the caller's voice from the bot's echo on the line. Compares received audio with the audio
 * sent up to 500 ms before, at every delay. An echo correlates with the sent audio and is not
 * louder than earlier echoes of this line. Noting frames costs little; `nearPower` states the cost
 * of a search.
 */
export class EchoGuard {
  readonly #read: (source: Buffer, at: number) => number;
  readonly #stride: number;
  /** Sent audio at 8 kHz. Each value is the sum of 4 samples. */
  readonly #played = new History(MAX_LAG + WINDOW + RATE_KHZ * FRAME_MS);
  /** Received audio at 2 kHz. Each value is the sum of 4 samples. */
  readonly #heard = new History(WINDOW / STEP);
  readonly #playedPowers = new Float32Array(FRAMES);
  #playedFrame = 0;
  readonly #taps = new Float64Array(STEP);
  #tap = 0;
  #playedSum = 0;
  #heardSum = 0;
  #heardCount = 0;
  #power = 0;
  /** Lag with the highest correlation, samples. */
  #lag = 0;
  #likeness = 0;
  /** Energy of received relative to sent audio at that lag. */
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

  /**
   * Notes a frame from the caller. Returns its power below 1 kHz (mean square, 1 is full scale).
   */
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

  /**
   * Power of the last received frame without echo; 0 for an echo. Takes 5 µs if the delay of the
   * echo is known, else up to 1 ms.
   */
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

  /**
   * Learns the echo level of this line from a received frame without speech while the bot plays.
   */
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

  /** Finds the lag, in samples, with the highest correlation of sent and received audio. */
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
      // The last value of each direction is the sum of its last 4 samples.
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
