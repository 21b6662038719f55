import type { AriClient } from '../ari/client.ts';
import { type ChannelRelease, releaseChannel } from '../call/channel-release.ts';
import type { BelievedRelease } from './reconciliation.ts';

interface Kept {
  release: ChannelRelease;
  seen: number;
  /** A request is on its way: a second one would meet the first. */
  isUnderWay: boolean;
}

/**
 * Channels that we are done with, until they are known to be gone: what Asterisk did not take is done again by the next comparison, and
 * nobody takes them for callers who wait.
 */
export class PendingReleases {
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
  get believed(): ReadonlyMap<string, BelievedRelease> {
    return new Map(
      [...this.#kept].map(([id, { release, seen }]) => [
        id,
        { kind: release.status === undefined ? 'hang-up' : 'give-back', isDone: release.isDone, seen },
      ]),
    );
  }

  /** A call has left its channel so. */
  keep(channelId: string, release: ChannelRelease): void {
    this.#kept.set(channelId, { release, seen: 0, isUnderWay: false });
  }

  /** Leaves a channel, and keeps how. Rejects where that failed: the next comparison tries again. */
  async say(channelId: string, release: ChannelRelease): Promise<void> {
    this.keep(channelId, release);
    await this.#releaseChannel(channelId);
  }

  /** Does what is kept for a channel once more. */
  async repeat(channelId: string): Promise<void> {
    const kept = this.#kept.get(channelId);
    if (kept === undefined || kept.isUnderWay) return;
    kept.seen += 1;
    await this.#releaseChannel(channelId);
  }

  async #releaseChannel(channelId: string): Promise<void> {
    const kept = this.#kept.get(channelId);
    if (kept === undefined) return;
    kept.isUnderWay = true;
    const { left, error } = await releaseChannel(this.#ari, channelId, kept.release);
    kept.isUnderWay = false;
    kept.release = left;
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
