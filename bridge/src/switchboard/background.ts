import type { Logger } from '../log.ts';

/** Tasks that nothing waits for, except the end of the process. A failure is logged. */
export class Background {
  readonly #running = new Set<Promise<void>>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Tracks a running task. `what` names it in the log. */
  run(work: Promise<unknown>, what: string): void {
    const failed = (error: Error) => this.#log.error({ what, error: error.message }, 'failed');
    const done = work.then(() => {}, failed).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  /** Waits until no task runs. Calls `onRound` first, and again each time a task finishes. */
  async settle(onRound: () => void): Promise<void> {
    while (this.#running.size > 0) {
      onRound();
      await Promise.race(this.#running);
    }
  }
}
