import type { CallRecord } from './record.ts';

/** What the store's thread is started with. */
export interface StoreSettings {
  /** Folder of the database; without one it is in memory, and gone with the process. */
  readonly directory: string | undefined;
  /** Records of older calls are deleted. */
  readonly days: number;
  /** Beyond this size of the database the oldest records are deleted. */
  readonly maxMegabytes: number;
  /** The first one of the process: what is live in the database then was live when the process before died. */
  readonly recovers: boolean;
}

/** A status callback that has not been delivered yet. */
export interface StoredCallback {
  readonly id: string;
  readonly callId: string;
  readonly url: string;
  /** The form, as it is sent and signed. */
  readonly body: string;
  /** Unix time, ms. */
  readonly createdMs: number;
  /** Tries so far. */
  readonly tries: number;
}

/** Something to be written. Nobody waits for it. */
export type Write =
  /** A call that began, changed or ended; known by its channel and the time of its offer. */
  | { readonly type: 'call'; readonly record: CallRecord }
  | { readonly type: 'callback'; readonly callback: StoredCallback }
  | { readonly type: 'callback-done'; readonly id: string };

/** Which records are wanted; all conditions hold together, absent ones always. */
export interface RecordFilter {
  /** Offered at or after, and before: ISO 8601, UTC. */
  readonly offeredFrom?: string | undefined;
  readonly offeredBefore?: string | undefined;
  /** Who called or was called, by the last digits: `1512345` finds `+49301512345` and `0301512345`. */
  readonly number?: string | undefined;
  readonly provider?: string | undefined;
  readonly direction?: CallRecord['direction'] | undefined;
  readonly outcome?: CallRecord['outcome'] | undefined;
  readonly endReason?: CallRecord['endReason'] | undefined;
  readonly state?: CallRecord['state'] | undefined;
}

/** Some records, newest first, and where the next ones begin. */
export interface RecordPage {
  readonly records: readonly CallRecord[];
  /** Absent after the last page. */
  readonly nextCursor?: string;
}

/** What is asked of the store's thread. */
export type Question =
  | { readonly type: 'get'; readonly id: string }
  | {
      readonly type: 'list';
      readonly filter: RecordFilter;
      readonly limit: number;
      readonly cursor: string | undefined;
    }
  | { readonly type: 'callbacks' }
  | { readonly type: 'close' };

/** To the store's thread. */
export type ToStore =
  | { readonly type: 'write'; readonly write: Write }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question };

/** From the store's thread. */
export type FromStore =
  | { readonly type: 'settled'; readonly written: number; readonly refused: number }
  /** The database works, or what is wrong with it. */
  | { readonly type: 'health'; readonly problem: string | undefined }
  | { readonly type: 'remark'; readonly text: string }
  /** Calls that were live when the process before died. Told before the first word of health. */
  | { readonly type: 'recovered'; readonly records: readonly CallRecord[] }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly message: string };
