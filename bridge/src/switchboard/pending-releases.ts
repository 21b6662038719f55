import type { AriClient } from '../ari/client.ts';
import { carryOut, type Farewell } from '../call/channel-release.ts';
import type { BelievedFarewell } from './reconciliation.ts';

interface Kept {
  farewell: Farewell;
  seen: number;
  /** A request is on its way: a second one would meet the first. */
  isUnderWay: boolean;
}

/**
 * Channels that we are done with, until they are known to be gone: what Asterisk did not take is done again by the next comparison, and
 * nobody takes them for callers who wait.
 */
export class Farewells {
  readonly #ari: AriClient;
  readonly #kept = new Map<string, Kept>();
  #era = 0;

  constructor(ari: AriClient) {
    this.#ari = ari;
  }

  /** Changes when another process takes our app: what began before is its own from then on. */
  get era(): number {
    return this.#era;
  }

  /** Whether a channel is done with. */
  has(channelId: string): boolean {
    return this.#kept.has(channelId);
  }

  /** As the comparison sees them. */
  get believed(): ReadonlyMap<string, BelievedFarewell> {
    return new Map(
      [...this.#kept].map(([id, { farewell, seen }]) => [
        id,
        { kind: farewell.status === undefined ? 'hang-up' : 'give-back', isDone: farewell.isDone, seen },
      ]),
    );
  }

  /** A call has left its channel so. */
  keep(channelId: string, farewell: Farewell): void {
    this.#kept.set(channelId, { farewell, seen: 0, isUnderWay: false });
  }

  /** Leaves a channel, and keeps how. Rejects where that failed: the next comparison tries again. */
  async say(channelId: string, farewell: Farewell): Promise<void> {
    this.keep(channelId, farewell);
    await this.#carryOut(channelId);
  }

  /** Does what is kept for a channel once more. */
  async repeat(channelId: string): Promise<void> {
    const kept = this.#kept.get(channelId);
    if (kept === undefined || kept.isUnderWay) return;
    kept.seen += 1;
    await this.#carryOut(channelId);
  }

  async #carryOut(channelId: string): Promise<void> {
    const kept = this.#kept.get(channelId);
    if (kept === undefined) return;
    kept.isUnderWay = true;
    const { left, error } = await carryOut(this.#ari, channelId, kept.farewell);
    kept.isUnderWay = false;
    kept.farewell = left;
    if (error !== undefined) throw error;
  }

  /** A comparison has seen it. */
  count(channelId: string): void {
    const kept = this.#kept.get(channelId);
    if (kept !== undefined) kept.seen += 1;
  }

  /** Another process has our app, and what is in it. */
  clear(): void {
    this.#era += 1;
    this.#kept.clear();
  }

  /** The channel is elsewhere, gone, or a caller again. */
  forget(channelId: string): void {
    this.#kept.delete(channelId);
  }
}
