import type { AriClient } from '../ari/client.ts';
import { type ChannelRelease, releaseChannel } from '../call/channel-release.ts';
import { CAUSE } from '../q850/causes.ts';
import type { Due, OverdueWatch } from '../reports/overdue.ts';
import type { BelievedRelease } from './beliefs.ts';

interface PendingRelease {
  release: ChannelRelease;
  seen: number;
  /** A request is running: it must not be repeated meanwhile. */
  isUnderWay: boolean;
}

/**
 * Channels that we have finished with, until they are known to be gone. If Asterisk did not accept
 * the release, the next comparison repeats it. Such channels are not offered as new callers.
 */
export class PendingReleases {
  readonly #ari: AriClient;
  readonly #pending = new Map<string, PendingRelease>();
  #era = 0;

  constructor(ari: AriClient, overdue: OverdueWatch) {
    this.#ari = ari;
    overdue.add(() => this.#due());
  }

  /**
   * Changes when another process takes our app. Releases of an older era are then that process's
   * task.
   */
  get era(): number {
    return this.#era;
  }

  /** Whether we have finished with a channel. */
  has(channelId: string): boolean {
    return this.#pending.has(channelId);
  }

  /** The releases as a comparison sees them. */
  get believed(): ReadonlyMap<string, BelievedRelease> {
    return new Map(
      [...this.#pending].map(([id, { release, seen }]) => [
        id,
        { kind: release.status === undefined ? 'hang-up' : 'give-back', isDone: release.isDone, seen },
      ]),
    );
  }

  /** A call has released its channel in this way. */
  remember(channelId: string, release: ChannelRelease): void {
    this.#pending.set(channelId, { release, seen: 0, isUnderWay: false });
  }

  /**
   * Releases a channel and remembers it. Rejects if that failed; the next comparison tries again.
   */
  async release(channelId: string, release: ChannelRelease): Promise<void> {
    this.remember(channelId, release);
    await this.#releaseChannel(channelId);
  }

  /**
   * Hangs up a channel that Asterisk may have created, or may still create, since `era`. Never
   * rejects.
   */
  async remove(channelId: string, era: number): Promise<void> {
    if (era !== this.#era) return;
    await this.release(channelId, { cause: CAUSE.normalClearing, isDone: false }).catch(() => {});
  }

  /** Completes the release of a former channel with this id. Never rejects. */
  async finish(channelId: string): Promise<void> {
    await this.repeat(channelId).catch(() => {});
    this.forget(channelId);
  }

  /** Repeats the release of a channel. */
  async repeat(channelId: string): Promise<void> {
    const pending = this.#pending.get(channelId);
    if (pending === undefined || pending.isUnderWay) return;
    pending.seen += 1;
    await this.#releaseChannel(channelId);
  }

  /**
   * Releases that Asterisk has not accepted yet, or has accepted and not done: comparisons still
   * see the channel.
   */
  *#due(): Iterable<Due> {
    for (const [channelId, pending] of this.#pending)
      if (!pending.release.isDone || pending.seen > 1)
        yield { kind: 'channel', key: pending, facts: { channelId } };
  }

  async #releaseChannel(channelId: string): Promise<void> {
    const pending = this.#pending.get(channelId);
    if (pending === undefined) return;
    pending.isUnderWay = true;
    const { left, error } = await releaseChannel(this.#ari, channelId, pending.release);
    pending.isUnderWay = false;
    pending.release = left;
    if (error !== undefined) throw error;
  }

  /** A comparison has seen the channel. */
  count(channelId: string): void {
    const pending = this.#pending.get(channelId);
    if (pending !== undefined) pending.seen += 1;
  }

  /** Another process took our app and its channels. */
  clear(): void {
    this.#era += 1;
    this.#pending.clear();
  }

  /** The channel is elsewhere, is gone, or has a call again. */
  forget(channelId: string): void {
    this.#pending.delete(channelId);
  }
}
