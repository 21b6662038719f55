import type { AriClient } from './client.ts';
import type { ChannelEvent } from './model.ts';
import type { AriError } from './requests.ts';

/** What is needed to move channels. */
export interface ChannelMovesContext {
  readonly ari: Pick<AriClient, 'moveChannel' | 'subscribe' | 'unsubscribe'>;
  readonly sharedApp: string;
  readonly ownApp: string;
}

/**
 * Moves channels from the shared app to the own one of this process, and tells which events only
 * show that they were moved. A moved channel stays in its mixing bridge, so its caller hears
 * nothing of it.
 */
export class ChannelMoves {
  readonly #context: ChannelMovesContext;
  /** Channels whose StasisEnd from the shared app is of our move. */
  readonly #leaving = new Set<string>();
  /** Channels that have left the shared app so: later events of them come from our own app too. */
  readonly #left = new Set<string>();
  /** Channels whose StasisStart in our own app is of our move. */
  readonly #arriving = new Set<string>();
  readonly #moves = new Set<Promise<void>>();
  /** Channels whose events come from our own app. */
  readonly #elsewhere = new Set<string>();

  constructor(context: ChannelMovesContext) {
    this.#context = context;
  }

  /** Number of channels in our own app. */
  get count(): number {
    return this.#elsewhere.size;
  }

  /** Whether a channel is in our own app. */
  has(channelId: string): boolean {
    return this.#elsewhere.has(channelId);
  }

  /** A handover begins or ends: a channel that left in an earlier one may have come back. */
  begin(): void {
    this.#left.clear();
  }

  /** Moves a channel. One that is not in Stasis has its events sent to our app. Never rejects. */
  move(id: string, args: readonly string[]): Promise<void> {
    const moved = this.#move(id, args).finally(() => this.#moves.delete(moved));
    this.#moves.add(moved);
    return moved;
  }

  /** Whether a move has not been answered yet. */
  get isBusy(): boolean {
    return this.#moves.size > 0;
  }

  /** Resolves when each move was answered, or was not sent. */
  async settled(): Promise<void> {
    while (this.#moves.size > 0) await Promise.all(this.#moves);
  }

  /** Whether an event of the shared app only shows that a channel has moved. */
  isEchoFromShared(type: ChannelEvent['type'], id: string): boolean {
    if (this.#left.has(id)) return true;
    const isEnd = type === 'StasisEnd' && this.#leaving.delete(id);
    if (isEnd) this.#left.add(id);
    return isEnd;
  }

  /** The same for an event of our own app. */
  isEchoFromOwn(type: ChannelEvent['type'], id: string): boolean {
    if (type === 'ChannelDestroyed') this.#elsewhere.delete(id);
    return type === 'StasisStart' && this.#arriving.delete(id);
  }

  /**
   * Forgets channels that are gone, or of no concern to us any more: the event that tells of their
   * end may have been lost.
   */
  prune(isKnown: (channelId: string) => boolean): void {
    for (const ids of [this.#elsewhere, this.#left, this.#leaving, this.#arriving])
      for (const id of ids) if (!isKnown(id)) ids.delete(id);
  }

  async #move(id: string, args: readonly string[]): Promise<void> {
    const { ari, sharedApp, ownApp } = this.#context;
    this.#leaving.add(id);
    this.#arriving.add(id);
    const isMoved = await ari
      .moveChannel(id, ownApp, args)
      .catch(({ wasSent }: AriError) => (wasSent ? 'unknown' : 'not sent'));
    if (isMoved === false || isMoved === 'not sent') {
      this.#leaving.delete(id);
      this.#arriving.delete(id);
    }
    // Another process has the shared app, and with it this channel.
    if (isMoved === 'not sent') return;
    // Without a reply it may have been moved.
    this.#elsewhere.add(id);
    // Subscriptions outlast the stay in an app: the successor must have none of ours.
    await ari.subscribe(id, ownApp).catch(() => {});
    await ari.unsubscribe(id, sharedApp).catch(() => {});
  }
}
