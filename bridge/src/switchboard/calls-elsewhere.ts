/** What a process of the bridge has. */
export interface CallCounts {
  /** Calls under way or being placed. */
  readonly calls: number;
  /** Outbound calls, dials and second legs, by provider. */
  readonly outbound: Readonly<Record<string, number>>;
}

/** The calls of processes that handed over to this one. They count for the limits, too. */
export class CallsElsewhere {
  readonly #counts = new Map<string, CallCounts>();

  /** A process has told what it has. */
  report(instance: string, counts: CallCounts): void {
    this.#counts.set(instance, counts);
  }

  /** A process is gone. */
  forget(instance: string): void {
    this.#counts.delete(instance);
  }

  /** Number of processes that have calls. */
  get processes(): number {
    return [...this.#counts.values()].filter(({ calls }) => calls > 0).length;
  }

  /** Number of calls. */
  get calls(): number {
    return this.#sum(({ calls }) => calls);
  }

  /** Number of outbound calls, dials and second legs over a provider. */
  outbound(provider: string): number {
    return this.#sum(({ outbound }) => outbound[provider] ?? 0);
  }

  #sum(read: (counts: CallCounts) => number): number {
    return [...this.#counts.values()].reduce((sum, counts) => sum + read(counts), 0);
  }
}
