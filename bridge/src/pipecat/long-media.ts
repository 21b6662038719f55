import { base64Bytes, decodeBase64 } from './base64.ts';

/** In place of the payload, to see whether it is one. Two, because what is the payload anyway may be one of them. */
const PROBES = ['QUJD', 'REVG'];
const KEY = '"payload"';
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const PADDING = 0x3d;
const SPACES: readonly number[] = [0x20, 0x09, 0x0a, 0x0d];
/** What JSON may make of a line break or a slash (RFC 8259 section 7). */
const ESCAPES = /\\[nr/]/g;
/** Characters that are decoded at once, in a millisecond: a multiple of four. Two seconds of the widest audio are fewer. */
const SLICE_CHARS = 262_144;

/** Where a payload lies in a message: `[start..end)`, and what is around it as a text with another payload. */
export interface LongPayload {
  readonly start: number;
  readonly end: number;
  readonly around: string;
}

/**
 * Finds the payload of the long media message `bytes[start..end)` without a parser having to read it. `payloadOf` parses a message
 * and says what its payload is, if it is one with audio. Undefined: it is no media message, or has more than `maxAroundBytes` beside
 * its payload.
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
    // Base64 holds no quote, escaped or not.
    const close = bytes.indexOf(QUOTE, begin);
    if (close < 0 || close >= end || end - start - (close - begin) > maxAroundBytes) continue;
    const head = bytes.toString('utf8', start, begin);
    const tail = bytes.toString('utf8', close, end);
    if (PROBES.every((probe) => payloadOf(`${head}${probe}${tail}`) === probe))
      return { start: begin, end: close, around: `${head}${PROBES[0]}${tail}` };
  }
  return undefined;
}

/** Where the string behind a key begins; -1: there is none. */
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

/** Audio of a long message, a slice at a time. */
export interface Slices {
  readonly isDone: boolean;
  /** The next slice's bytes, valid until the next one; undefined: it cannot be read, and there is nothing more. */
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

/** Decodes a long payload slice by slice, so that none holds up its thread. */
export class Base64Slices implements Slices {
  readonly #text: Buffer;
  readonly #end: number;
  #at: number;
  /** The next escape from here on; looked for once, not for each slice. */
  #escapedAt = -1;
  /** Of a group of four, what the last slice had no room for. */
  #carry = '';
  readonly #audio: Buffer;

  /** The base64 in `text[start..end)`, its line breaks and slashes escaped or not. */
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

  /** Most payloads are as they are: in groups of four, without escapes. */
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

/** -1: it is no base64, of the alphabet of URLs neither (RFC 4648 section 5). */
function decode(source: Buffer, start: number, end: number, target: Buffer): number {
  const length = decodeBase64(source, start, end, target);
  if (length >= 0) return length;
  const text = source.toString('latin1', start, end);
  const bytes = base64Bytes(text);
  // Node's decoder leaves out what is no base64, so a bad text comes out short.
  return bytes >= 0 && target.write(text, 0, bytes, 'base64') === bytes ? bytes : -1;
}

function placeOf(byte: number, text: Buffer, from: number): number {
  const at = text.indexOf(byte, from);
  return at < 0 ? text.length : at;
}
