/** The even UDP ports of a range, lent one a call. First in, first out: a port rests as long as possible before it is used again. */
export class PortPool {
  /** Ports in the pool, lent or not. */
  readonly size: number;
  readonly #free: number[] = [];
  readonly #taken = new Set<number>();
  #head = 0;

  /** @throws RangeError when `min` to `max` (both included) is no port range or holds no even port. */
  constructor(min: number, max: number) {
    if (!Number.isInteger(min) || !Number.isInteger(max) || min < 1 || max > 65535)
      throw new RangeError(`no port range: ${min}-${max}`);
    for (let port = min + (min % 2); port <= max; port += 2) this.#free.push(port);
    if (this.#free.length === 0) throw new RangeError(`no even port in ${min}-${max}`);
    this.size = this.#free.length;
  }

  /** Ports lent at the moment. */
  get inUse(): number {
    return this.#taken.size;
  }

  /** Lends the port that has rested longest; undefined when all are lent. */
  take(): number | undefined {
    if (this.#taken.size === this.size) return undefined;
    const port = this.#free[this.#head] as number;
    this.#head = (this.#head + 1) % this.size;
    this.#taken.add(port);
    return port;
  }

  /** Takes a port back. A port that is not lent is left alone, so a release may be repeated. */
  release(port: number): void {
    // As many places before the head are vacant as ports are lent: the oldest of them takes this one.
    const place = (this.#head - this.#taken.size + this.size) % this.size;
    if (this.#taken.delete(port)) this.#free[place] = port;
  }
}
