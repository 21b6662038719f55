import type { AriChannel } from '../ari/model.ts';
import type { PendingReleases } from './pending-releases.ts';

/** What returns are taken with. */
export interface ReturnsContext {
  /** Marks the events of now; what is returned resolves when all have been heard that Asterisk had told when it was called. */
  readonly caughtUp: () => () => Promise<void>;
  readonly pendingReleases: PendingReleases;
  readonly stasisStart: (channel: AriChannel, args: readonly string[]) => void;
}

/**
 * Callers who enter our app again while their call is being released, or after it has left them. That they came may be told late: they
 * may have been sent away since, by that very call. Only when the events have caught up is it known whether they are there.
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

  /** A channel has come; `take` is to follow when its call is over. */
  came(channel: AriChannel, args: readonly string[]): void {
    this.#waiting.set(channel.id, { channel, args });
  }

  /** A channel has left, or has ended. */
  left(channelId: string): void {
    this.#waiting.delete(channelId);
  }

  /** Takes a channel that came and is still there. Where that cannot be known the next comparison takes whoever waits. Never rejects. */
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

  /** Another process has our app, and who is in it. */
  clear(): void {
    this.#waiting.clear();
  }
}
