import { base64Bytes, decodeBase64 } from './base64.ts';

/**
 * Replace the payload to verify its position. Two, because the payload itself may equal one of
 * them.
 */
const PROBES = ['QUJD', 'REVG'];
const KEY = '"payload"';
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const PADDING = 0x3d;
const SPACES: readonly number[] = [0x20, 0x09, 0x0a, 0x0d];
/** Escapes of a line break or a slash in JSON (RFC 8259 section 7). */
const ESCAPES = /\\[nr/]/g;
/**
 * Characters decoded at once, a multiple of four: takes 1 ms. Two seconds of audio at the highest
 * rate are fewer.
 */
const SLICE_CHARS = 262_144;

/**
 * Position `[start..end)` of a payload in a message, and the message as text with another payload.
 */
export interface LongPayload {
  readonly start: number;
  readonly end: number;
  readonly around: string;
}

/**
 * Finds the payload of the long media message `bytes[start..end)` without parsing the payload.
 * `payloadOf` parses a message and returns its payload if it has audio. Undefined: it is not a
 * media message, or has more than `maxAroundBytes` besides its payload.
 */
export function findPayload(
  bytes: Buffer,
  start: number,
  end: number,
  maxAroundBytes: number,
  payloadOf: (text: string) => string | undefined,
): LongPayload | undefined {
  const searched = bytes.subarray(start, Math.min(end, start + maxAroundBytes));
  for (let at = searched.indexOf(KEY); at >= 0; at = searched.indexOf(KEY, at + 1)) {
    const begin = valueAfter(bytes, start + at + KEY.length, end);
    if (begin < 0) continue;
    // Base64 contains no quote, escaped or not.
    const close = bytes.indexOf(QUOTE, begin);
    if (close < 0 || close >= end || end - start - (close - begin) > maxAroundBytes) continue;
    const head = bytes.toString('utf8', start, begin);
    const tail = bytes.toString('utf8', close, end);
    if (PROBES.every((probe) => payloadOf(`${head}${probe}${tail}`) === probe))
      return { start: begin, end: close, around: `${head}${PROBES[0]}${tail}` };
  }
  return undefined;
}

/** Offset of the string value after a key; -1: there is none. */
function valueAfter(bytes: Buffer, after: number, end: number): number {
  let at = after;
  let colons = 0;
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === COLON) colons += 1;
    else if (!SPACES.includes(byte)) break;
  }
  return colons === 1 && at < end && bytes[at] === QUOTE ? at + 1 : -1;
}

/** Audio of a long message, slice by slice. */
export interface Slices {
  readonly isDone: boolean;
  /**
   * The next slice, valid until the next call. Undefined: it cannot be decoded, and no slice
   * follows.
   */
  next(): Buffer | undefined;
}

/** Slices of raw audio. */
export class ByteSlices implements Slices {
  readonly #bytes: Buffer;
  readonly #sliceBytes: number;
  #at = 0;

  constructor(bytes: Buffer, sliceBytes: number) {
    this.#bytes = bytes;
    this.#sliceBytes = sliceBytes;
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length;
  }

  next(): Buffer {
    const slice = this.#bytes.subarray(this.#at, this.#at + this.#sliceBytes);
    this.#at += slice.length;
    return slice;
  }
}

/** Decodes a long payload slice by slice, so that it does not block its thread. */
export class Base64Slices implements Slices {
  readonly #text: Buffer;
  readonly #end: number;
  #at: number;
  /** Position of the next escape, searched once and not for each slice. */
  #escapedAt = -1;
  /** Rest of a group of four characters that the last slice did not include. */
  #carry = '';
  readonly #audio: Buffer;

  /** The base64 in `text[start..end)`. Line breaks and slashes may be escaped. */
  constructor(text: Buffer, start: number, end: number) {
    this.#text = text;
    this.#at = start;
    this.#end = end;
    this.#audio = Buffer.allocUnsafeSlow(Math.min(SLICE_CHARS, end - start) + 4);
  }

  get isDone(): boolean {
    return this.#at >= this.#end;
  }

  next(): Buffer | undefined {
    const start = this.#at;
    let end = Math.min(this.#end, start + SLICE_CHARS);
    if (end < this.#end && this.#text[end - 1] === BACKSLASH) end -= 1;
    this.#at = end;
    const piece = this.#plain(start, end);
    const length = decode(piece.bytes, piece.start, piece.end, this.#audio);
    const isPadded = piece.end > piece.start && piece.bytes[piece.end - 1] === PADDING;
    if (length < 0 || (isPadded && !this.isDone)) {
      this.#at = this.#end;
      return undefined;
    }
    return this.#audio.subarray(0, length);
  }

  /** Removes escapes. Most payloads have none, and come in groups of four characters. */
  #plain(start: number, end: number): { bytes: Buffer; start: number; end: number } {
    const text = this.#text;
    if (this.#escapedAt < start) this.#escapedAt = placeOf(BACKSLASH, text, start);
    const isPlain = this.#carry === '' && this.#escapedAt >= end;
    if (isPlain && (this.isDone || (end - start) % 4 === 0)) return { bytes: text, start, end };
    const plain =
      this.#carry +
      text.toString('latin1', start, end).replaceAll(ESCAPES, (found) => (found === '\\/' ? '/' : ''));
    const whole = this.isDone ? plain.length : plain.length - (plain.length % 4);
    this.#carry = plain.slice(whole);
    return { bytes: Buffer.from(plain.slice(0, whole), 'latin1'), start: 0, end: whole };
  }
}

/** Returns -1 if it is not base64, in the URL alphabet either (RFC 4648 section 5). */
function decode(source: Buffer, start: number, end: number, target: Buffer): number {
  const length = decodeBase64(source, start, end, target);
  if (length >= 0) return length;
  const text = source.toString('latin1', start, end);
  const bytes = base64Bytes(text);
  // Node's decoder skips characters that are not base64, so an invalid text decodes to fewer bytes.
  return bytes >= 0 && target.write(text, 0, bytes, 'base64') === bytes ? bytes : -1;
}

function placeOf(byte: number, text: Buffer, from: number): number {
  const at = text.indexOf(byte, from);
  return at < 0 ? text.length : at;
}
