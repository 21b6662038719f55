import { type AudioFormat, type Encoding, type SampleRate, type Transcode, transcoder } from './format.ts';
import type { PlayoutQueue } from './playout-queue.ts';
import { Resampler } from './resampler.ts';

// Buffers up to this size are kept between messages. Real-time bots send less.
const KEEP_BYTES = 16_384;
const NO_HALF = -1;

/**
 * Converts a bot's audio from any encoding and rate to the format of the playout queue, and queues
 * it.
 */
export class BotAudio {
  readonly #queue: PlayoutQueue;
  readonly #line: AudioFormat;
  #encoding: Encoding;
  #sampleRate: SampleRate;
  #conversion: Conversion;
  /** First byte of a 16-bit sample whose second byte comes with the next message. */
  #half = NO_HALF;
  #decoded = Buffer.alloc(0);
  #converted = Buffer.alloc(0);

  /** `line` is the queue's format. */
  constructor(queue: PlayoutQueue, line: AudioFormat) {
    this.#queue = queue;
    this.#line = line;
    this.#encoding = line.encoding;
    this.#sampleRate = line.sampleRate;
    this.#conversion = new Conversion(line, line);
  }

  /** Queues the audio `source[0..length)` of one message. Returns the bytes queued. */
  write(source: Buffer, length: number, encoding: Encoding, sampleRate: SampleRate, nowMs: number): number {
    const line = this.#line;
    if (encoding === line.encoding && sampleRate === line.sampleRate)
      return this.#queue.write(source, 0, length, nowMs);
    this.#turnTo(encoding, sampleRate);
    this.#reserve(length + 1);
    source.copy(this.#decoded, this.#begin, 0, length);
    return this.#convert(length, nowMs);
  }

  /** Offset of a message in `#decoded`: after the stored half sample. */
  get #begin(): number {
    return this.#half === NO_HALF ? 0 : 1;
  }

  /** Converts and queues the message of `bytes` in `#decoded`. */
  #convert(bytes: number, nowMs: number): number {
    const begin = this.#begin;
    if (begin === 1) this.#decoded[0] = this.#half;
    const end = begin + bytes;
    const whole = this.#encoding === 'pcm16' ? end - (end % 2) : end;
    this.#half = whole === end ? NO_HALF : (this.#decoded[whole] as number);
    const converted = this.#conversion.convert(this.#decoded, whole, this.#converted);
    const accepted = this.#queue.write(this.#converted, 0, converted, nowMs);
    if (this.#decoded.length > KEEP_BYTES) this.#reserve(0);
    return accepted;
  }

  /** Drops the stored half sample. Call it after a `clear`, or when another bot connects. */
  restart(): void {
    this.#half = NO_HALF;
    this.#conversion.restart();
  }

  #turnTo(encoding: Encoding, sampleRate: SampleRate): void {
    if (encoding === this.#encoding && sampleRate === this.#sampleRate) return;
    this.#encoding = encoding;
    this.#sampleRate = sampleRate;
    this.#conversion = new Conversion({ encoding, sampleRate }, this.#line);
    this.#half = NO_HALF;
    this.#converted = Buffer.alloc(this.#conversion.maxBytes(this.#decoded.length));
  }

  /** Makes room for a message of `bytes`. 0 releases the room. */
  #reserve(bytes: number): void {
    if (bytes > 0 && bytes <= this.#decoded.length) return;
    this.#decoded = Buffer.alloc(bytes);
    this.#converted = Buffer.alloc(this.#conversion.maxBytes(bytes));
  }
}

// Scratch buffers for linear audio before and after a rate conversion, one part of a message at a
// time. All conversions of a thread share them: none keeps data in them between two calls.
const PART_BYTES = 8_192;
const before = Buffer.allocUnsafeSlow(PART_BYTES * 2);
const after = Buffer.allocUnsafeSlow(PART_BYTES * 6 + 4);

/** Conversion from one format to another. */
class Conversion {
  readonly #from: AudioFormat;
  readonly #to: AudioFormat;
  readonly #direct: Transcode;
  readonly #toLinear: Transcode;
  readonly #fromLinear: Transcode;
  readonly #resampler: Resampler | undefined;

  constructor(from: AudioFormat, to: AudioFormat) {
    this.#from = from;
    this.#to = to;
    this.#direct = transcoder(from.encoding, to.encoding);
    this.#toLinear = transcoder(from.encoding, 'pcm16');
    this.#fromLinear = transcoder('pcm16', to.encoding);
    if (from.sampleRate !== to.sampleRate) this.#resampler = new Resampler(from.sampleRate, to.sampleRate);
  }

  /** Upper limit of the output for `bytes` of input, bytes. */
  maxBytes(bytes: number): number {
    // G.711 takes twice its size as 16-bit samples. Each part can yield one sample more.
    const samples = Math.ceil((bytes * this.#to.sampleRate) / this.#from.sampleRate);
    return (samples + Math.ceil(bytes / PART_BYTES) + 1) * 2;
  }

  /**
   * Converts the whole samples `source[0..end)` into the start of `target`. Returns the bytes
   * written.
   */
  convert(source: Buffer, end: number, target: Buffer): number {
    const resampler = this.#resampler;
    if (resampler === undefined) return this.#direct(source, 0, end, target, 0);
    let to = 0;
    for (let from = 0; from < end; from += PART_BYTES) {
      const linear = this.#toLinear(source, from, Math.min(end, from + PART_BYTES), before, 0);
      const resampled = resampler.convert(before, 0, linear, after, 0);
      to += this.#fromLinear(after, 0, resampled, target, to);
    }
    return to;
  }

  restart(): void {
    this.#resampler?.restart();
  }
}
