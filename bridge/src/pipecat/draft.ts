import { encodeBase64 } from './base64.ts';

const INITIAL_BYTES = 4_096;
const ZERO = 48;

/**
 * A buffer in which a media message is made. One is enough for all calls of a thread: a message is
 * sent before the next is made.
 */
export class Draft {
  /** The message is `bytes[0..length)`. */
  bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  /** The same memory as 32-bit words. */
  words = new Int32Array(this.bytes.buffer);
  length = 0;
  /** True: ASCII text. False: raw bytes. */
  isText = true;

  /** Begins a message of at most `maxBytes`. */
  begin(isText: boolean, maxBytes: number): void {
    if (maxBytes > this.bytes.length) {
      this.bytes = Buffer.allocUnsafeSlow(Math.ceil(maxBytes / 4) * 4);
      this.words = new Int32Array(this.bytes.buffer);
    }
    this.length = 0;
    this.isText = isText;
  }

  /** Appends `source[start..end)` unchanged. */
  copy(source: Uint8Array, start = 0, end = source.length): void {
    const { bytes } = this;
    let to = this.length;
    for (let from = start; from < end; from++, to++) bytes[to] = source[from] as number;
    this.length = to;
  }

  /** Appends a non-negative integer in decimal. */
  decimal(value: number): void {
    const { bytes } = this;
    let digits = 1;
    for (let limit = 10; limit <= value; limit *= 10) digits++;
    let rest = value;
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      const next = Math.floor(rest / 10);
      bytes[at] = ZERO + (rest - next * 10);
      rest = next;
    }
    this.length += digits;
  }

  /** Appends `source[start..end)` in base64. */
  base64(source: Buffer, start: number, end: number): void {
    this.length = encodeBase64(source, start, end, this.bytes, this.length);
  }
}

/** Length in base64 of `bytes` bytes. */
export function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}
