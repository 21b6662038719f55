// Initial size of a ring: 256 ms of G.711, enough for a real-time bot. Small rings let those of
// more calls stay in the CPU cache.
const INITIAL_BYTES = 2048;
// A ring that grew beyond this shrinks to the initial size when it is empty.
const KEEP_BYTES = 65536;

/** A first-in, first-out byte buffer that grows as needed. It holds no object per message. */
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
    if (middle < end) source.copy(this.#memory, 0, middle, end);
    this.#length += end - start;
  }

  /** Moves the first `bytes` bytes to `target`. The ring must hold as many. */
  read(target: Buffer, offset: number, bytes: number): void {
    const upToEnd = Math.min(bytes, this.#memory.length - this.#head);
    this.#memory.copy(target, offset, this.#head, this.#head + upToEnd);
    if (upToEnd < bytes) this.#memory.copy(target, offset + upToEnd, 0, bytes - upToEnd);
    this.#head = this.#wrap(bytes);
    this.#length -= bytes;
  }

  /** Drops the last `bytes` bytes. */
  dropLast(bytes: number): void {
    this.#length -= bytes;
  }

  /** Drops the first `bytes` bytes. The ring must hold as many. */
  dropFirst(bytes: number): void {
    this.#head = this.#wrap(bytes);
    this.#length -= bytes;
  }

  /** Empties the ring and releases memory that a burst needed. */
  clear(): void {
    this.#head = 0;
    this.#length = 0;
    if (this.#memory.length > KEEP_BYTES) this.#memory = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  /**
   * Returns the bytes at the end, in units of `unitBytes`, that all pass the test. The test gets
   * the memory and the offset of a unit in it.
   */
  countLast(unitBytes: number, passes: (memory: Buffer, at: number) => boolean): number {
    let bytes = 0;
    while (bytes < this.#length && passes(this.#memory, this.#wrap(this.#length - bytes - unitBytes)))
      bytes += unitBytes;
    return bytes;
  }

  /**
   * Whether all of the first `bytes` bytes, in units of `unitBytes`, pass the test of `countLast`.
   * The ring must hold as many.
   */
  firstPass(bytes: number, unitBytes: number, passes: (memory: Buffer, at: number) => boolean): boolean {
    let at = 0;
    while (at < bytes && passes(this.#memory, this.#wrap(at))) at += unitBytes;
    return at >= bytes;
  }

  /** Position in memory of the byte at `offset` from the head. */
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
