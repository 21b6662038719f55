/** Settings of a fence. */
export interface EventFenceOptions {
  /**
   * Name of the process and number of its connection. Each mark's name begins with it, so that
   * marks of an earlier connection do not match.
   */
  readonly instance: string;
  /** Asks Asterisk to send a user event with this name to the app. */
  readonly send: (name: string) => Promise<void>;
  /** Time limit for the return of a mark, ms. */
  readonly limitMs: number;
}

/**
 * Tells when the events of a connection have caught up with Asterisk's REST interface. Events come
 * in order, but a REST reply can be ahead of the event for the same change. A user event that is
 * requested now comes after all these events. So when it arrives, they have arrived too.
 */
export class EventFence {
  readonly #options: EventFenceOptions;
  readonly #marks = new Map<string, PromiseWithResolvers<void>>();
  #count = 0;
  #isClosed = false;

  constructor(options: EventFenceOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all events that Asterisk sent before this call have arrived. Rejects if the
   * connection ends first, or after the time limit.
   */
  async passed(): Promise<void> {
    const { instance, send, limitMs } = this.#options;
    if (this.#isClosed) throw ended();
    this.#count += 1;
    const name = `${instance}-mark-${this.#count}`;
    const back = Promise.withResolvers<void>();
    this.#marks.set(name, back);
    // The limit includes the request, which alone may take as long.
    const late = () => back.reject(new Error('the events of the Stasis app are behind'));
    const limit = setTimeout(late, limitMs);
    try {
      await Promise.race([send(name).then(() => back.promise), back.promise]);
    } finally {
      clearTimeout(limit);
      this.#marks.delete(name);
    }
  }

  /** A user event arrived on the events socket. */
  heard(name: string): void {
    this.#marks.get(name)?.resolve();
  }

  /** The connection has ended, so outstanding events are lost. */
  close(): void {
    this.#isClosed = true;
    for (const { reject } of this.#marks.values()) reject(ended());
  }
}

function ended(): Error {
  return new Error('the connection to the events has ended');
}
