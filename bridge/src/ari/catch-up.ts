/** What a catch-up needs. */
export interface CatchUpOptions {
  /** The process and which of its connections; the name of each mark begins with it, so that none of a former one is taken for it. */
  readonly instance: string;
  /** Asks Asterisk to send a user event of this name to the app. */
  readonly send: (name: string) => Promise<void>;
  /** A mark must be back within this time, ms. */
  readonly limitMs: number;
}

/**
 * Tells when the events of one connection have caught up with what Asterisk's REST interface says. Events come in order, but later
 * than a reply may show what they tell of. A user event that is asked for comes behind all of them: when it is back, so are they.
 */
export class CatchUp {
  readonly #options: CatchUpOptions;
  readonly #marks = new Map<string, PromiseWithResolvers<void>>();
  #count = 0;
  #isClosed = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Resolves when all has been heard that Asterisk had told before. Rejects where the connection ends first, or the limit. */
  async done(): Promise<void> {
    const { instance, send, limitMs } = this.#options;
    if (this.#isClosed) throw ended();
    this.#count += 1;
    const name = `${instance}-mark-${this.#count}`;
    const back = Promise.withResolvers<void>();
    this.#marks.set(name, back);
    // From here on: the request alone may take as long.
    const late = () => back.reject(new Error('the events of the Stasis app are behind'));
    const limit = setTimeout(late, limitMs);
    try {
      await Promise.race([send(name).then(() => back.promise), back.promise]);
    } finally {
      clearTimeout(limit);
      this.#marks.delete(name);
    }
  }

  /** A user event came over the events socket. */
  heard(name: string): void {
    this.#marks.get(name)?.resolve();
  }

  /** The connection has ended: what it was to tell is lost. */
  close(): void {
    this.#isClosed = true;
    for (const { reject } of this.#marks.values()) reject(ended());
  }
}

function ended(): Error {
  return new Error('the connection to the events has ended');
}
