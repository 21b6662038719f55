import type { Logger } from '../log.ts';
import { type Due, OverdueWatch } from '../reports/overdue.ts';

/** A call, as the watch over its release sees it. */
interface WatchedCall {
  /** Whether it has ended, and no more audio is to be played. */
  readonly isReleasing: boolean;
  readonly info: { readonly callId: string; readonly channelId: string };
}

interface Task {
  readonly what: string;
  readonly call: WatchedCall | undefined;
  readonly done: Promise<void>;
}

/**
 * Tasks that nothing waits for, except the end of the process. A failure is logged, and so is a
 * task that does not end.
 */
export class Background {
  readonly #running = new Set<Task>();
  readonly #log: Logger;
  readonly overdue: OverdueWatch;

  constructor(log: Logger) {
    this.#log = log;
    this.overdue = new OverdueWatch(log);
    this.overdue.add(() => this.#due());
  }

  /**
   * Tracks a running task. `what` names it in the log. The task that runs a call lasts as long as
   * the call: only the call's release has to end soon.
   */
  run(work: Promise<unknown>, what: string, call?: WatchedCall): void {
    const failed = (error: Error) => this.#log.error({ what, error: error.message }, 'failed');
    const done = work.then(() => {}, failed).finally(() => this.#running.delete(task));
    const task: Task = { what, call, done };
    this.#running.add(task);
  }

  /** Waits until no task runs. Calls `onRound` first, and again each time a task finishes. */
  async settle(onRound: () => void): Promise<void> {
    while (this.#running.size > 0) {
      onRound();
      await Promise.race([...this.#running].map(({ done }) => done));
    }
    this.overdue.stop();
  }

  *#due(): Iterable<Due> {
    for (const task of this.#running) {
      const { what, call } = task;
      if (call === undefined) yield { kind: 'task', key: task, facts: { what } };
      else if (call.isReleasing)
        yield {
          kind: 'call',
          key: task,
          facts: { callId: call.info.callId, channelId: call.info.channelId },
        };
    }
  }
}
