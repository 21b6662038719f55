import { type Encoding, type Transcode, transcoder } from './format.ts';
import type { PlayoutQueue } from './playout-queue.ts';

// Buffers are kept from message to message up to this size; real-time bots send less.
const KEEP_BYTES = 16_384;
const NO_HALF = -1;

/** A bot's audio on its way into the playout queue: in whatever encoding the bot chose, turned into the queue's own. */
export class BotAudio {
  readonly #queue: PlayoutQueue;
  readonly #encoding: Encoding;
  #from: Encoding;
  #transcode: Transcode;
  /** First byte of a 16-bit sample whose second comes with the next message. */
  #half = NO_HALF;
  #decoded = Buffer.alloc(0);
  #converted = Buffer.alloc(0);

  /** `encoding` is the queue's. */
  constructor(queue: PlayoutQueue, encoding: Encoding) {
    this.#queue = queue;
    this.#encoding = encoding;
    this.#from = encoding;
    this.#transcode = transcoder(encoding, encoding);
  }

  /** Queues the audio `source[0..length)` of one message. Returns the bytes queued. */
  write(source: Buffer, length: number, encoding: Encoding, nowMs: number): number {
    if (encoding === this.#encoding) return this.#queue.write(source, 0, length, nowMs);
    this.#turnTo(encoding);
    this.#reserve(length + 1);
    source.copy(this.#decoded, this.#begin, 0, length);
    return this.#convert(length, nowMs);
  }

  /** Where a message's bytes begin in `#decoded`: behind the half sample that waits there. */
  get #begin(): number {
    return this.#half === NO_HALF ? 0 : 1;
  }

  /** Converts and queues the message of `bytes` that lies in `#decoded`. */
  #convert(bytes: number, nowMs: number): number {
    const encoding = this.#from;
    const begin = this.#begin;
    if (begin === 1) this.#decoded[0] = this.#half;
    const end = begin + bytes;
    const whole = encoding === 'pcm16' ? end - (end % 2) : end;
    this.#half = whole === end ? NO_HALF : (this.#decoded[whole] as number);
    const converted = this.#transcode(this.#decoded, 0, whole, this.#converted, 0);
    const accepted = this.#queue.write(this.#converted, 0, converted, nowMs);
    if (this.#decoded.length > KEEP_BYTES) this.#reserve(0);
    return accepted;
  }

  /** What comes next begins with a whole sample: after a `clear`, or from another bot. */
  restart(): void {
    this.#half = NO_HALF;
  }

  #turnTo(encoding: Encoding): void {
    if (encoding === this.#from) return;
    this.#from = encoding;
    this.#transcode = transcoder(encoding, this.#encoding);
    this.#half = NO_HALF;
  }

  /** Makes room for a message of `bytes`; 0 gives the room back. */
  #reserve(bytes: number): void {
    if (bytes > 0 && bytes <= this.#decoded.length) return;
    this.#decoded = Buffer.alloc(bytes);
    // G.711 takes twice its room as 16-bit samples.
    this.#converted = Buffer.alloc(bytes * 2);
  }
}
