/**
 * The even UDP ports of a range, one for each socket. First in, first out: a released port is
 * reused as late as possible.
 */
export class PortPool {
  /** Number of ports in the pool, in use or not. */
  readonly size: number;
  readonly #free: number[] = [];
  readonly #taken = new Set<number>();
  #head = 0;

  /**
   * @throws RangeError if `min` to `max` (both included) is not a port range or has no even port.
   */
  constructor(min: number, max: number) {
    if (!Number.isInteger(min) || !Number.isInteger(max) || min < 1 || max > 65535)
      throw new RangeError(`no port range: ${min}-${max}`);
    for (let port = min + (min % 2); port <= max; port += 2) this.#free.push(port);
    if (this.#free.length === 0) throw new RangeError(`no even port in ${min}-${max}`);
    this.size = this.#free.length;
  }

  /** Number of ports in use. */
  get inUse(): number {
    return this.#taken.size;
  }

  /** Takes the port that was released longest ago. Returns undefined if all are in use. */
  take(): number | undefined {
    if (this.#taken.size === this.size) return undefined;
    const port = this.#free[this.#head] as number;
    this.#head = (this.#head + 1) % this.size;
    this.#taken.add(port);
    return port;
  }

  /**
   * Returns a port to the pool. Ignores a port that is not in use, so a release may be repeated.
   */
  release(port: number): void {
    // The vacant places are those before the head, one for each port in use. Fill the oldest.
    const place = (this.#head - this.#taken.size + this.size) % this.size;
    if (this.#taken.delete(port)) this.#free[place] = port;
  }
}
