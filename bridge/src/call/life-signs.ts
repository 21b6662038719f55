/** What Asterisk has counted of a channel's far end: RTP of any kind, and what the far end's RTCP reports said. */
export type FarEndCounts = Readonly<Record<string, number>>;

/** Whether `now` shows that something came from the far end since `before`. */
export function hasMoved(before: FarEndCounts, now: FarEndCounts): boolean {
  return Object.entries(now).some(([name, value]) => value !== before[name]);
}

/** Questions in a row that Asterisk may leave open: one slow moment of its own is no caller's silence. */
const UNKNOWN_MAX = 2;

/**
 * Whether a caller from whom no audio comes is still there. Asterisk passes on neither comfort noise, nor empty packets, nor RTCP
 * (a caller who listens, on a trunk with silence suppression, sends nothing else), but it counts them.
 */
export class LifeSigns {
  readonly #count: () => Promise<FarEndCounts>;
  #before: Promise<FarEndCounts | undefined> | undefined;
  #unknown = 0;

  /** `count` asks Asterisk; it may reject. */
  constructor(count: () => Promise<FarEndCounts>) {
    this.#count = count;
  }

  /** Audio has ceased: what comes from now on is a sign of life. */
  audioCeased(): void {
    this.#before = this.#count().catch(() => undefined);
  }

  /**
   * Whether something came since audio ceased, or since the last time that this was asked. Where Asterisk cannot say, the caller counts
   * as there, UNKNOWN_MAX times in a row; never where it was not told that audio ceased. Never rejects.
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
