/** Shortest duration that a packet counts for, ms: limits a sender to 400 packets per second. */
export const MIN_PACKET_MS = 2.5;

/**
 * Limits the rate of packets that are shorter than {@link MIN_PACKET_MS}. Each of them counts as
 * that long, so a sender cannot flood the bot with tiny frames.
 */
export class ShortPackets {
  readonly #minUnits: number;
  /** Time that the short packets so far have used up, timestamp units. */
  #usedUnits = 0;

  /** `minUnits` is {@link MIN_PACKET_MS} in timestamp units. */
  constructor(minUnits: number) {
    this.#minUnits = minUnits;
  }

  /**
   * Whether a short packet can be accepted now. `elapsed` is the time since the timeline began,
   * `limit` how far it may run, both in timestamp units.
   */
  accepts(elapsed: number, limit: number): boolean {
    const used = Math.max(this.#usedUnits, elapsed) + this.#minUnits;
    if (used > limit) return false;
    this.#usedUnits = used;
    return true;
  }
}
