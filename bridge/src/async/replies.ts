interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly limit: NodeJS.Timeout;
}

/** Pending requests to a thread, by number. Each has a time limit, because the thread may hang. */
export class Replies {
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  /** Number of pending requests. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Sends a request: `post` gets its number. Rejects with `late()` if no reply comes within
   * `limitMs`.
   */
  ask(post: (id: number) => void, limitMs: number, late: () => Error): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => this.reject(id, late()), limitMs);
      this.#waiting.set(id, { resolve, reject, limit });
      try {
        post(id);
      } catch (error) {
        this.reject(id, error as Error);
      }
    });
  }

  /** A reply arrived. It is ignored if its request is not pending any more. */
  resolve(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  reject(id: number, error: Error): void {
    this.#take(id)?.reject(error);
  }

  /** No more replies will come: rejects all pending requests. */
  rejectAll(error: Error): void {
    for (const id of [...this.#waiting.keys()]) this.reject(id, error);
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    clearTimeout(waiting?.limit);
    this.#waiting.delete(id);
    return waiting;
  }
}
