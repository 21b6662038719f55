import type { Logger } from '../log.ts';
import type { CallRecord } from './record.ts';
import type { RecordStore } from './store.ts';

/**
 * How records are logged: `off`, `masked` (only the last two digits of numbers are shown) or
 * `full`.
 */
export type StdoutMode = 'off' | 'masked' | 'full';

/**
 * Writes each call's record to the store at every change, and to the log when the call has ended.
 */
export class RecordWriter {
  readonly #store: RecordStore;
  readonly #stdout: () => StdoutMode;
  readonly #log: Logger;

  constructor(store: RecordStore, stdout: () => StdoutMode, log: Logger) {
    this.#store = store;
    this.#stdout = stdout;
    this.#log = log;
  }

  /** A call or dial has begun, changed or ended. */
  note(record: CallRecord): void {
    this.#store.save(record);
    if (record.state === 'closed') this.#writeToLog(record);
  }

  #writeToLog(record: CallRecord): void {
    const mode = this.#stdout();
    if (mode === 'off') return;
    this.#log.info({ record: mode === 'full' ? record : masked(record) }, 'call record');
  }
}

function masked(record: CallRecord): CallRecord {
  const { from, to, transfer } = record;
  return {
    ...record,
    from: maskedNumber(from),
    to: maskedNumber(to),
    ...(transfer && { transfer: { ...transfer, to: maskedNumber(transfer.to) } }),
  };
}

function maskedNumber(number: string): string {
  return number.slice(-2).padStart(number.length, '*');
}
