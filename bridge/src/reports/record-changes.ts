import type { CallRecord } from '../records/record.ts';
import type { RecordWriter } from '../records/record-writer.ts';
import type { RecordStore } from '../records/store.ts';
import type { CallEventName } from './reports.ts';

/** Who is told of a changed record. */
export interface RecordChangesContext {
  readonly store: Pick<RecordStore, 'leave' | 'endLeft'>;
  readonly writer: Pick<RecordWriter, 'note'>;
  /** Called with each change after it was written. */
  readonly onChange: (event: CallEventName, record: CallRecord) => void;
  /** Has the end of the process wait for this. */
  readonly waitFor: (told: Promise<unknown>) => void;
}

/**
 * Tells of each change of a record, as long as the calls are this process's. After it has left them
 * a call may still end here. One process tells of that end: this one, until another has taken the
 * call.
 */
export class RecordChanges {
  readonly #context: RecordChangesContext;
  #hasLeft = false;

  constructor(context: RecordChangesContext) {
    this.#context = context;
  }

  /** Leaves the records of the calls to other processes. See {@link RecordStore.leave}. */
  async leave(): Promise<boolean> {
    this.#hasLeft = true;
    return await this.#context.store.leave();
  }

  /** A call or dial has begun, changed or ended. */
  changed(event: CallEventName, record: CallRecord): void {
    if (!this.#hasLeft) this.#tell(event, record);
  }

  /**
   * One has ended. Resolves to whether its end is ours to report. Undefined: our calls were not
   * left, so it is, and {@link changed} tells of it.
   */
  endedLate(record: CallRecord): Promise<boolean> | undefined {
    if (!this.#hasLeft) return undefined;
    const isOurs = this.#context.store.endLeft(record);
    this.#context.waitFor(isOurs.then((is) => is && this.#tell('ended', record)));
    return isOurs;
  }

  #tell(event: CallEventName, record: CallRecord): void {
    this.#context.writer.note(record);
    this.#context.onChange(event, record);
  }
}
