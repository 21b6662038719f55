/** What Asterisk has counted of a channel's far end: RTP of any kind, and what the far end's RTCP reports said. */
export type FarEndCounts = Readonly<Record<string, number>>;

/** Whether `now` shows that something came from the far end since `before`. */
export function hasMoved(before: FarEndCounts, now: FarEndCounts): boolean {
  return Object.entries(now).some(([name, value]) => value !== before[name]);
}

/**
 * Whether a caller from whom no audio comes is still there. Asterisk passes on neither comfort noise, nor empty packets, nor RTCP
 * (a caller who listens, on a trunk with silence suppression, sends nothing else), but it counts them.
 */
export class LifeSigns {
  readonly #count: () => Promise<FarEndCounts>;
  #before: Promise<FarEndCounts | undefined> | undefined;

  /** `count` asks Asterisk; it may reject. */
  constructor(count: () => Promise<FarEndCounts>) {
    this.#count = count;
  }

  /** Audio has ceased: what comes from now on is a sign of life. */
  audioCeased(): void {
    this.#before = this.#count().catch(() => undefined);
  }

  /** Whether something came since audio ceased, or since the last time that this was asked. False where Asterisk cannot say. Never rejects. */
  async isAlive(): Promise<boolean> {
    const [before, now] = await Promise.all([this.#before, this.#count().catch(() => undefined)]);
    this.#before = Promise.resolve(now);
    return before !== undefined && now !== undefined && hasMoved(before, now);
  }
}
