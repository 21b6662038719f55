import type { CallRecord, Milestone } from './record.ts';

const MAX_RECORDS = 1000;

/** The records of the newest connections, and who waits for something to happen to them. */
export class Store {
  #records: CallRecord[] = [];
  #newest = new Map<string, CallRecord>();
  #waiting = new Set<(record: CallRecord) => void>();

  /** The newest first. A call that connected more than once is there more than once. */
  list(): CallRecord[] {
    return this.#records.toReversed();
  }

  /** One connection of the call, counted from 1; the newest if not said. */
  find(callId: string, attempt?: number): CallRecord | undefined {
    if (attempt === undefined) return this.#newest.get(callId);
    return this.#records.find((record) => record.callId === callId && record.attempt === attempt);
  }

  /** Adds a record; the oldest goes. */
  add(record: CallRecord): void {
    this.#records.push(record);
    this.#newest.set(record.callId, record);
    const oldest = this.#records.length > MAX_RECORDS ? this.#records.shift() : undefined;
    if (oldest && this.#newest.get(oldest.callId) === oldest) this.#newest.delete(oldest.callId);
    this.changed(record);
  }

  /** Forgets all. */
  reset(): void {
    this.#records = [];
    this.#newest.clear();
  }

  /** To be called after a record changed. */
  changed(record: CallRecord): void {
    for (const check of this.#waiting) check(record);
  }

  /**
   * Waits until a connection of the call, which need not exist yet, reaches `milestone`. Undefined
   * on timeout.
   */
  async wait(callId: string, milestone: Milestone, timeoutMs: number): Promise<CallRecord | undefined> {
    const now = this.find(callId);
    if (now?.reached(milestone)) return now;
    const { promise, resolve } = Promise.withResolvers<CallRecord | undefined>();
    const check = (record: CallRecord) => {
      if (record.callId === callId && record.reached(milestone)) resolve(record);
    };
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    this.#waiting.add(check);
    const reached = await promise;
    clearTimeout(timer);
    this.#waiting.delete(check);
    return reached;
  }
}
