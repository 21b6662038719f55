import type { Logger } from '../log.ts';

/** Work that nobody but the end of the process waits for: its failure is logged, never lost. */
export class Background {
  readonly #running = new Set<Promise<void>>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Keeps an eye on work that has begun; `what` names it in the log. */
  run(work: Promise<unknown>, what: string): void {
    const failed = (error: Error) => this.#log.error({ what, error: error.message }, 'failed');
    const done = work.then(() => {}, failed).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  /** Resolves when nothing is under way; `urge` is called before, and each time that some of it is done. */
  async settle(urge: () => void): Promise<void> {
    while (this.#running.size > 0) {
      urge();
      await Promise.race(this.#running);
    }
  }
}
