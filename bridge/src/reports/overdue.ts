import type { Logger } from '../log.ts';

/** What can be overdue: the release of a call, the release of a channel, or a task. */
export const OVERDUE_KINDS = ['call', 'channel', 'task'] as const;
export type OverdueKind = (typeof OVERDUE_KINDS)[number];

/** Something that has to end soon. */
export interface Due {
  readonly kind: OverdueKind;
  /** The same object at each look, for as long as it is the same thing. */
  readonly key: object;
  /** What names it in the log. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Time within which everything that is due has to end. */
const LIMIT_MS = 60_000;
const LOOK_MS = 5_000;

/**
 * Looks for releases and tasks that do not end within a minute. Each wait of the bridge has a time
 * limit of its own, so an overdue one means a defect, or an Asterisk that does not obey.
 */
export class OverdueWatch {
  readonly #log: Logger;
  readonly #sources: (() => Iterable<Due>)[] = [];
  /** Since when each thing has been due, by the clock of {@link look}, ms. */
  #sinceMs = new Map<object, number>();
  readonly #reported = new Map<object, Due>();
  readonly #timer: NodeJS.Timeout;
  /** How many things have been overdue so far, by kind. */
  readonly total: Record<OverdueKind, number> = { call: 0, channel: 0, task: 0 };

  constructor(log: Logger) {
    this.#log = log;
    this.#timer = setInterval(() => this.look(performance.now()), LOOK_MS).unref();
  }

  /** Adds a list of things that have to end soon. It is read at each look. */
  add(source: () => Iterable<Due>): void {
    this.#sources.push(source);
  }

  /** How many things of a kind are overdue now. */
  count(kind: OverdueKind): number {
    return [...this.#reported.values()].filter((due) => due.kind === kind).length;
  }

  /** Reads all lists at this time, and reports what became overdue, or ended after all. */
  look(nowMs: number): void {
    const due = this.#sources.flatMap((source) => [...source()]);
    this.#sinceMs = new Map(due.map(({ key }) => [key, this.#sinceMs.get(key) ?? nowMs]));
    for (const { kind, key, facts } of due) {
      const forMs = nowMs - (this.#sinceMs.get(key) ?? nowMs);
      if (forMs < LIMIT_MS || this.#reported.has(key)) continue;
      this.#reported.set(key, { kind, key, facts });
      this.total[kind] += 1;
      this.#log.error({ kind, ...facts, forS: Math.round(forMs / 1_000) }, 'does not end');
    }
    for (const [key, { kind, facts }] of this.#reported) {
      if (this.#sinceMs.has(key)) continue;
      this.#reported.delete(key);
      this.#log.info({ kind, ...facts }, 'has ended after all');
    }
  }

  /** Ends the looks. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
