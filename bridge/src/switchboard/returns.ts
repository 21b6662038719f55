import type { AriChannel } from '../ari/model.ts';
import type { PendingReleases } from './pending-releases.ts';

/** What returns work with. */
export interface ReturnsContext {
  /**
   * Marks the present. The returned function resolves when all events have arrived that Asterisk
   * had sent before it was called.
   */
  readonly caughtUp: () => () => Promise<void>;
  readonly pendingReleases: PendingReleases;
  readonly stasisStart: (channel: AriChannel, args: readonly string[]) => void;
}

/**
 * Callers who enter our app again while their call is being released, or after it was released.
 * Their StasisStart may be old: that same call may have sent them away since. Only when the events
 * have caught up is it known whether they are still there.
 */
export class Returns {
  readonly #context: ReturnsContext;
  readonly #waiting = new Map<string, { channel: AriChannel; args: readonly string[] }>();

  constructor(context: ReturnsContext) {
    this.#context = context;
  }

  /** Channels that wait for their second call. */
  get ids(): Iterable<string> {
    return this.#waiting.keys();
  }

  has(channelId: string): boolean {
    return this.#waiting.has(channelId);
  }

  /** A channel has entered. `take` must follow when its call is over. */
  came(channel: AriChannel, args: readonly string[]): void {
    this.#waiting.set(channel.id, { channel, args });
  }

  /** A channel has left or ended. */
  left(channelId: string): void {
    this.#waiting.delete(channelId);
  }

  /**
   * Begins a call for a channel that is still there. If that cannot be known, the next comparison
   * offers the channel. Never rejects.
   */
  async take(channelId: string): Promise<void> {
    const isKnown = await this.#context
      .caughtUp()()
      .then(
        () => true,
        () => false,
      );
    const waiting = this.#waiting.get(channelId);
    if (waiting === undefined) return;
    this.#waiting.delete(channelId);
    this.#context.pendingReleases.forget(channelId);
    if (isKnown) this.#context.stasisStart(waiting.channel, waiting.args);
  }

  /** Another process took our app and its channels. */
  clear(): void {
    this.#waiting.clear();
  }
}
