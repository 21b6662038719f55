/**
 * Asterisk's counters for a channel's far end: RTP packets of any kind, and values of its RTCP
 * reports.
 */
export type FarEndCounts = Readonly<Record<string, number>>;

/** Whether any counter changed: something has arrived from the far end. */
export function hasMoved(before: FarEndCounts, now: FarEndCounts): boolean {
  return Object.entries(now).some(([name, value]) => value !== before[name]);
}

/**
 * Consecutive failed queries after which the caller still counts as alive: Asterisk may be slow.
 */
const UNKNOWN_MAX = 2;

/**
 * Checks whether a caller without audio is still connected. A listening caller on a trunk with
 * silence suppression sends only comfort noise, empty packets or RTCP. Asterisk does not forward
 * these, but it counts them.
 */
export class LifeSigns {
  readonly #count: () => Promise<FarEndCounts | undefined>;
  #before: Promise<FarEndCounts | undefined> | undefined;
  #unknown = 0;

  /** `count` queries Asterisk. It may reject. */
  constructor(count: () => Promise<FarEndCounts | undefined>) {
    this.#count = count;
  }

  /** Audio has stopped: takes the counters to compare with. */
  audioCeased(): void {
    this.#before = this.#count().catch(() => undefined);
  }

  /**
   * Whether something arrived since the audio stopped, or since the last check. Returns true up to
   * UNKNOWN_MAX times in a row if Asterisk does not answer. Returns false without a preceding
   * `audioCeased`. Never rejects.
   */
  async isAlive(): Promise<boolean> {
    if (this.#before === undefined) return false;
    const [before, now] = await Promise.all([this.#before, this.#count().catch(() => undefined)]);
    this.#before = Promise.resolve(now);
    if (before === undefined || now === undefined) return ++this.#unknown <= UNKNOWN_MAX;
    this.#unknown = 0;
    return hasMoved(before, now);
  }
}
