// Rings begin at this size and return to it; a second and a bit of G.711, more than a bot in real time ever needs.
const INITIAL_BYTES = 8192;
// A ring that grew beyond this for a burst is given back once it is empty.
const KEEP_BYTES = 65536;

/** A first-in, first-out store of bytes that grows as needed and holds no object per message. */
export class ByteRing {
  #memory = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #head = 0;
  #length = 0;

  /** Bytes in the ring. */
  get length(): number {
    return this.#length;
  }

  /** Appends `source[start..end)`. */
  write(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    const tail = this.#wrap(this.#length);
    const middle = Math.min(end, start + this.#memory.length - tail);
    source.copy(this.#memory, tail, start, middle);
    source.copy(this.#memory, 0, middle, end);
    this.#length += end - start;
  }

  /** Appends base64 that stands for `bytes` bytes, decoded in place. False: it does not, and nothing was appended. */
  writeBase64(text: string, bytes: number): boolean {
    this.#reserve(bytes);
    const tail = this.#wrap(this.#length);
    if (bytes > this.#memory.length - tail) {
      // Across the end, once in many messages: by way of a copy.
      const decoded = Buffer.from(text, 'base64');
      if (decoded.length !== bytes) return false;
      this.write(decoded, 0, bytes);
      return true;
    }
    // The decoder leaves out what is no base64, so a bad text comes out short; nothing is behind the tail yet.
    if (this.#memory.write(text, tail, bytes, 'base64') !== bytes) return false;
    this.#length += bytes;
    return true;
  }

  /** Moves the first `bytes` bytes (as many must be there) to `target`. */
  read(target: Buffer, offset: number, bytes: number): void {
    const upToEnd = Math.min(bytes, this.#memory.length - this.#head);
    this.#memory.copy(target, offset, this.#head, this.#head + upToEnd);
    this.#memory.copy(target, offset + upToEnd, 0, bytes - upToEnd);
    this.#head = this.#wrap(bytes);
    this.#length -= bytes;
  }

  /** Drops the last `bytes` bytes. */
  dropLast(bytes: number): void {
    this.#length -= bytes;
  }

  /** Drops the first `bytes` bytes (as many must be there). */
  dropFirst(bytes: number): void {
    this.#head = this.#wrap(bytes);
    this.#length -= bytes;
  }

  /** Empties it, and gives back the memory of a burst. */
  clear(): void {
    this.#head = 0;
    this.#length = 0;
    if (this.#memory.length > KEEP_BYTES) this.#memory = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  /** Bytes at the end, in units of `unitBytes`, that pass the test, which gets the memory and where in it a unit begins. */
  countLast(unitBytes: number, passes: (memory: Buffer, at: number) => boolean): number {
    let bytes = 0;
    while (bytes < this.#length && passes(this.#memory, this.#wrap(this.#length - bytes - unitBytes)))
      bytes += unitBytes;
    return bytes;
  }

  /** Whether the first `bytes` bytes (as many must be there), in units of `unitBytes`, all pass the test of `countLast`. */
  firstPass(bytes: number, unitBytes: number, passes: (memory: Buffer, at: number) => boolean): boolean {
    let at = 0;
    while (at < bytes && passes(this.#memory, this.#wrap(at))) at += unitBytes;
    return at >= bytes;
  }

  /** The place in the memory, `offset` bytes behind the head. */
  #wrap(offset: number): number {
    return (this.#head + offset) % this.#memory.length;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#memory.length) return;
    let size = this.#memory.length;
    while (size < needed) size *= 2;
    const memory = Buffer.allocUnsafeSlow(size);
    const length = this.#length;
    this.read(memory, 0, length);
    this.#memory = memory;
    this.#head = 0;
    this.#length = length;
  }
}

/** Bytes that a base64 text of this length stands for; -1 when no base64 has this length. Padding may be missing. */
export function base64Bytes(text: string): number {
  let length = text.length;
  if (length > 0 && text.charCodeAt(length - 1) === 61) length--;
  if (length > 0 && text.charCodeAt(length - 1) === 61) length--;
  return length % 4 === 1 ? -1 : Math.floor((length * 3) / 4);
}
