// RFC 4648 section 4. Written by hand: a string per frame and two calls into C++ take three times
// as long.
const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PADDING = 61;
const ENCODED = Uint8Array.from(ALPHABET);
/** Negative for a character that is not in the alphabet. */
const DECODED = new Int32Array(256).fill(-1);
for (const [value, character] of ALPHABET.entries()) DECODED[character] = value;

/**
 * Encodes `source[start..end)` as base64 into `target` from `at` on. Returns the end offset. The
 * target must be large enough.
 */
export function encodeBase64(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  const rest = (end - start) % 3;
  const whole = end - rest;
  let to = at;
  for (let from = start; from < whole; from += 3, to += 4) {
    const bits =
      ((source[from] as number) << 16) | ((source[from + 1] as number) << 8) | (source[from + 2] as number);
    target[to] = ENCODED[bits >> 18] as number;
    target[to + 1] = ENCODED[(bits >> 12) & 63] as number;
    target[to + 2] = ENCODED[(bits >> 6) & 63] as number;
    target[to + 3] = ENCODED[bits & 63] as number;
  }
  if (rest === 0) return to;
  const bits = ((source[whole] as number) << 16) | (rest === 2 ? (source[whole + 1] as number) << 8 : 0);
  target[to] = ENCODED[bits >> 18] as number;
  target[to + 1] = ENCODED[(bits >> 12) & 63] as number;
  target[to + 2] = rest === 2 ? (ENCODED[(bits >> 6) & 63] as number) : PADDING;
  target[to + 3] = PADDING;
  return to + 4;
}

/**
 * Bytes that a base64 text of this length decodes to; -1 if no base64 has this length. Padding may
 * be missing.
 */
export function base64Bytes(text: string): number {
  let { length } = text;
  if (length > 0 && text.charCodeAt(length - 1) === PADDING) length--;
  if (length > 0 && text.charCodeAt(length - 1) === PADDING) length--;
  return length % 4 === 1 ? -1 : Math.floor((length * 3) / 4);
}

/**
 * Decodes the base64 in `source[start..end)` to the start of `target`. Returns the bytes written.
 * The target must be large enough. Returns -1 if the text is not base64 of the standard alphabet;
 * the target is then partly overwritten.
 */
export function decodeBase64(source: Buffer, start: number, end: number, target: Buffer): number {
  let last = end;
  while (last > start && end - last < 2 && source[last - 1] === PADDING) last--;
  const rest = (last - start) % 4;
  const whole = last - rest;
  let to = 0;
  // The sign bit is set if any character was invalid.
  let all = 0;
  for (let from = start; from < whole; from += 4, to += 3) {
    const bits =
      ((DECODED[source[from] as number] as number) << 18) |
      ((DECODED[source[from + 1] as number] as number) << 12) |
      ((DECODED[source[from + 2] as number] as number) << 6) |
      (DECODED[source[from + 3] as number] as number);
    all |= bits;
    target[to] = bits >> 16;
    target[to + 1] = bits >> 8;
    target[to + 2] = bits;
  }
  if (rest === 1) return -1;
  for (let i = 0, bits = 0; i < rest; i++) {
    const value = DECODED[source[whole + i] as number] as number;
    all |= value;
    bits |= value << (18 - 6 * i);
    if (i > 0) target[to++] = bits >> (24 - 8 * i);
  }
  return all < 0 ? -1 : to;
}
