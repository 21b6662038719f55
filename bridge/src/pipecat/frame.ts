import type { Draft } from './draft.ts';

// A client frame has a header of 6 bytes, or 8 from 126 bytes of payload on (RFC 6455 section 5.2).
// The header is placed so that the payload always begins here.
const PAYLOAD_AT = 8;
const SHORT_PAYLOAD_MAX = 125;
const MEDIUM_PAYLOAD_MAX = 65_535;
const TEXT = 0x81;
const BINARY = 0x82;
const MASKED = 0x80;
const HEADER_MAX_BYTES = 14;

/** Makes client frames, one after the other, in one buffer (RFC 6455 section 5). */
export class FrameWriter {
  /** The buffer of all frames. */
  readonly memory: Buffer;
  readonly #words: Int32Array;
  #frame: Buffer;

  /** `payloadMax`: bytes of the longest payload, at most 65535. */
  constructor(payloadMax: number) {
    this.memory = Buffer.allocUnsafeSlow(
      PAYLOAD_AT + Math.ceil(Math.min(payloadMax, MEDIUM_PAYLOAD_MAX) / 4) * 4,
    );
    this.#words = new Int32Array(this.memory.buffer);
    this.#frame = this.memory;
  }

  /**
   * Makes the frame of a message. It is valid until the next call. Undefined: the message is too
   * long. `mask` must be unpredictable (RFC 6455 section 10.3).
   */
  write(message: Draft, mask: number): Buffer | undefined {
    const { length } = message;
    const bytes = this.memory;
    if (length > MEDIUM_PAYLOAD_MAX || length > bytes.length - PAYLOAD_AT) return undefined;
    const begin = length > SHORT_PAYLOAD_MAX ? 0 : 2;
    bytes[begin] = message.isText ? TEXT : BINARY;
    bytes[begin + 1] = MASKED | (begin === 0 ? 126 : length);
    if (begin === 0) {
      bytes[2] = length >> 8;
      bytes[3] = length;
    }
    // The mask is the word before the payload. Both have the same byte order, so none is swapped.
    const words = this.#words;
    const { words: plain } = message;
    words[1] = mask;
    const end = (length + 3) >> 2;
    for (let i = 0; i < end; i++) words[i + 2] = (plain[i] as number) ^ mask;
    const size = PAYLOAD_AT + length - begin;
    // The lengths of a call's messages rarely differ, so the view is rarely replaced.
    if (this.#frame.length !== size || this.#frame.byteOffset !== bytes.byteOffset + begin)
      this.#frame = bytes.subarray(begin, begin + size);
    return this.#frame;
  }
}

/**
 * Next element of a server's stream: a whole `message` in one plain frame, the header of another
 * `frame`, a part of its `payload`, or a part of a `header` that continues in a later chunk.
 */
export type Found = 'message' | 'frame' | 'payload' | 'header';

/**
 * Parses the frames of a server across the chunks of its stream (RFC 6455 section 5.2). Stores no
 * payload and refuses nothing.
 */
export class FrameReader {
  /** Payload of the message, or part of it, that `next` found: `chunk[start..end)`. */
  start = 0;
  /** End offset of what `next` read. */
  end = 0;
  isText = false;
  /** Of the frame whose header `next` found last: bytes of payload, and those not yet received. */
  payloadBytes = 0;
  owedBytes = 0;
  readonly #head = Buffer.alloc(HEADER_MAX_BYTES);
  #headBytes = 0;
  #isHeadWhole = true;

  /** The header that `next` found last, valid until the next one. */
  get head(): Buffer {
    return this.#head.subarray(0, this.#headBytes);
  }

  /**
   * Whether that frame is a whole message: text or binary, not fragmented, compressed or masked.
   */
  get isPlain(): boolean {
    const first = this.#head[0];
    return (first === TEXT || first === BINARY) && !this.isMasked;
  }

  /** Whether that frame is masked, which a server must not do (RFC 6455 section 5.1). */
  get isMasked(): boolean {
    return ((this.#head[1] as number) & MASKED) !== 0;
  }

  /** The opcode of that frame (RFC 6455 section 5.2). */
  get opcode(): number {
    return (this.#head[0] as number) & 0x0f;
  }

  /**
   * Reads from `chunk[at..limit)`, which must not be empty and must continue where the last call
   * ended. Moves `end` by at least one byte.
   */
  next(chunk: Buffer, at: number, limit: number): Found {
    if (this.owedBytes > 0) {
      this.start = at;
      this.end = Math.min(limit, at + this.owedBytes);
      this.owedBytes -= this.end - at;
      return 'payload';
    }
    if (this.#isHeadWhole && this.#findWhole(chunk, at, limit)) return 'message';
    return this.#readHead(chunk, at, limit);
  }

  #findWhole(chunk: Buffer, at: number, limit: number): boolean {
    const first = chunk[at] as number;
    this.isText = first === TEXT;
    if ((!this.isText && first !== BINARY) || at + 2 > limit) return false;
    const second = chunk[at + 1] as number;
    if (second >= MASKED) return false;
    this.start = at + headLength(second);
    if (this.start > limit) return false;
    this.end = this.start + payloadLength(chunk, at);
    return this.end <= limit;
  }

  /** The first two bytes tell the length of the header. */
  #readHead(chunk: Buffer, at: number, limit: number): Found {
    const head = this.#head;
    if (this.#isHeadWhole) this.#headBytes = 0;
    this.#isHeadWhole = false;
    this.end = at;
    while (this.#headBytes < 2 || this.#headBytes < headLength(head[1] as number)) {
      if (this.end === limit) return 'header';
      head[this.#headBytes++] = chunk[this.end++] as number;
    }
    this.#isHeadWhole = true;
    this.isText = head[0] === TEXT;
    this.payloadBytes = payloadLength(head, 0);
    this.owedBytes = this.payloadBytes;
    return 'frame';
  }
}

/** Bytes of a frame header, by its second byte. */
function headLength(second: number): number {
  const length = second & 0x7f;
  const maskBytes = second >= MASKED ? 4 : 0;
  return maskBytes + (length === 126 ? 4 : length === 127 ? 10 : 2);
}

function payloadLength(bytes: Uint8Array, at: number): number {
  const length = (bytes[at + 1] as number) & 0x7f;
  if (length < 126) return length;
  const bytesOfLength = length === 126 ? 2 : 8;
  let sum = 0;
  for (let i = 0; i < bytesOfLength; i++) sum = sum * 256 + (bytes[at + 2 + i] as number);
  return sum;
}
