import type { Draft } from './draft.ts';

// A client's frame has a header of 6 bytes, or 8 from 126 bytes of payload on (RFC 6455 section 5.2): the payload begins in one place.
const PAYLOAD_AT = 8;
const SHORT_PAYLOAD_MAX = 125;
const MEDIUM_PAYLOAD_MAX = 65_535;
const TEXT = 0x81;
const BINARY = 0x82;
const MASKED = 0x80;

/** A buffer in which a client's frames are made, one after the other (RFC 6455 section 5). */
export class FrameWriter {
  readonly #bytes: Buffer;
  readonly #words: Int32Array;
  #frame: Buffer;

  /** `payloadMax`: bytes of the longest payload that it takes, at most 65535. */
  constructor(payloadMax: number) {
    this.#bytes = Buffer.allocUnsafeSlow(
      PAYLOAD_AT + Math.ceil(Math.min(payloadMax, MEDIUM_PAYLOAD_MAX) / 4) * 4,
    );
    this.#words = new Int32Array(this.#bytes.buffer);
    this.#frame = this.#bytes;
  }

  /**
   * The frame of a message. Valid until the next one is made; `undefined`: it is too long. `mask` must not be guessable
   * (RFC 6455 section 10.3).
   */
  write(message: Draft, mask: number): Buffer | undefined {
    const { length } = message;
    const bytes = this.#bytes;
    if (length > bytes.length - PAYLOAD_AT) return undefined;
    const begin = length > SHORT_PAYLOAD_MAX ? 0 : 2;
    bytes[begin] = message.isText ? TEXT : BINARY;
    bytes[begin + 1] = MASKED | (begin === 0 ? 126 : length);
    if (begin === 0) {
      bytes[2] = length >> 8;
      bytes[3] = length;
    }
    // The mask is the word before the payload; byte order is the same for both.
    const words = this.#words;
    const { words: plain } = message;
    words[1] = mask;
    const end = (length + 3) >> 2;
    for (let i = 0; i < end; i++) words[i + 2] = (plain[i] as number) ^ mask;
    const size = PAYLOAD_AT + length - begin;
    // Messages of a call differ in length by a digit at most: the view seldom changes.
    if (this.#frame.length !== size || this.#frame.byteOffset !== bytes.byteOffset + begin)
      this.#frame = bytes.subarray(begin, begin + size);
    return this.#frame;
  }
}

/** Follows the frames of a server through the chunks of its stream, and finds the messages that are there as a whole. */
export class FrameReader {
  /** Of the message that `next` found: its payload is `chunk[start..end)`. */
  start = 0;
  /** Where the bytes that `next` looked at end. */
  end = 0;
  isText = false;
  readonly #head = new Uint8Array(10);
  #headBytes = 0;
  /** Bytes of the frame under way that are yet to come. */
  #owed = 0;

  /**
   * Looks at `chunk[at..limit)`, which goes on where the last call ended. True: a whole message in one frame begins there. False:
   * something else does, as a control frame, a fragment, or a frame that ends in a later chunk; `at` to `end` belong to it.
   */
  next(chunk: Buffer, at: number, limit: number): boolean {
    if (this.#owed === 0 && this.#headBytes === 0 && this.#findWhole(chunk, at, limit)) return true;
    this.#passOver(chunk, at, limit);
    return false;
  }

  #findWhole(chunk: Buffer, at: number, limit: number): boolean {
    const first = chunk[at] as number;
    this.isText = first === TEXT;
    if ((!this.isText && first !== BINARY) || at + 2 > limit) return false;
    this.start = at + headLength(chunk[at + 1] as number);
    if (this.start > limit) return false;
    this.end = this.start + payloadLength(chunk, at);
    return this.end <= limit;
  }

  /** Goes on with a frame that is not ours, as far as it is there. */
  #passOver(chunk: Buffer, at: number, limit: number): void {
    this.end = at;
    if (this.#owed === 0) {
      const head = this.#head;
      // Its first two bytes say how long the header is.
      while (this.#headBytes < 2 || this.#headBytes < headLength(head[1] as number)) {
        if (this.end === limit) return;
        head[this.#headBytes++] = chunk[this.end++] as number;
      }
      this.#owed = payloadLength(head, 0);
      this.#headBytes = 0;
    }
    const bytes = Math.min(this.#owed, limit - this.end);
    this.#owed -= bytes;
    this.end += bytes;
  }
}

/** Bytes of the header of a server's frame, by its second byte. */
function headLength(second: number): number {
  const length = second & 0x7f;
  return length === 126 ? 4 : length === 127 ? 10 : 2;
}

function payloadLength(bytes: Uint8Array, at: number): number {
  const length = (bytes[at + 1] as number) & 0x7f;
  if (length < 126) return length;
  const bytesOfLength = length === 126 ? 2 : 8;
  let sum = 0;
  for (let i = 0; i < bytesOfLength; i++) sum = sum * 256 + (bytes[at + 2 + i] as number);
  return sum;
}
