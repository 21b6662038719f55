import { doneWithin } from '../async/time-limit.ts';
import type { PlayoutQueue } from '../audio/playout-queue.ts';

/** Time for the last audio to leave, in addition to the length of the queued audio. */
const DRAIN_SLACK_MS = 1_000;
/** Name of the bridge's own mark. A bot's mark cannot have this name. */
const PLAYED_OUT = '\0played out';

/** Waits until the queued audio was played: before a transfer, or at the end of a call. */
export class PlayoutEnd {
  readonly #queue: PlayoutQueue;
  #drained: (() => void) | undefined;
  #playedOut: (() => void) | undefined;

  /** The owner of `queue` calls `drained` and `reached`. */
  constructor(queue: PlayoutQueue) {
    this.#queue = queue;
  }

  /** Whether the end of the queued audio is awaited, or was reached by `drain`. */
  get isAwaited(): boolean {
    return this.#drained !== undefined || this.#playedOut !== undefined;
  }

  /** Plays the queued audio and refuses more. Resolves when it was sent, or after a time limit. */
  drain(): Promise<void> {
    if (this.#queue.queuedMs === 0) return Promise.resolve();
    const { promise, done } = doneWithin(this.#queue.queuedMs + DRAIN_SLACK_MS);
    this.#drained = done;
    this.#queue.resume();
    this.#queue.drain();
    return promise;
  }

  /** Resolves when the audio queued now was played or cleared, or after a time limit. */
  playedOut(): Promise<void> {
    const { promise, done } = doneWithin(this.#queue.queuedMs + DRAIN_SLACK_MS);
    this.#playedOut = done;
    this.#queue.resume();
    if (!this.#queue.mark(PLAYED_OUT)) done();
    return promise.finally(() => {
      this.#playedOut = undefined;
    });
  }

  /** The drained queue is empty. */
  drained(): void {
    this.#drained?.();
  }

  /** A mark of the queue was reached. Returns false if it is the bot's. */
  reached(mark: string): boolean {
    if (mark !== PLAYED_OUT) return false;
    this.#playedOut?.();
    return true;
  }

  /** Nothing is played any more: ends all waits. */
  close(): void {
    this.#drained?.();
    this.#playedOut?.();
  }
}
