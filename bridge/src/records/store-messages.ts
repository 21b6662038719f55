import type { CallRecord } from './record.ts';

/** How much is kept. */
export interface StoreLimits {
  /** Records of calls older than this many days are deleted. */
  readonly days: number;
  /** The oldest records are deleted if the database is larger than this, MB. */
  readonly maxMegabytes: number;
}

/** Settings of the store's thread. */
export interface StoreSettings extends StoreLimits {
  /**
   * Folder of the database. Undefined: the database is in memory and is lost at the process's end.
   */
  readonly directory: string | undefined;
  /** Id of this process of the bridge. Others may write to the same folder. */
  readonly process: string;
  /**
   * True for the process's first thread. Calls that are live in the database were then left by the
   * previous process.
   */
  readonly recovers: boolean;
}

/** A status callback that has not been delivered. */
export interface StoredCallback {
  readonly id: string;
  readonly callId: string;
  readonly url: string;
  /** The form, exactly as it is sent and signed. */
  readonly body: string;
  /** Unix time, ms. */
  readonly createdMs: number;
  /** Tries so far. */
  readonly tries: number;
}

/** A write. It has no reply. */
export type Write =
  /** A call that began, changed or ended. Its key is the channel and the time of the offer. */
  | { readonly type: 'call'; readonly record: CallRecord }
  | { readonly type: 'callback'; readonly callback: StoredCallback }
  | { readonly type: 'callback-done'; readonly id: string };

/** Conditions for records. All of them must hold; an absent one always holds. */
export interface RecordFilter {
  /** Offered at or after `offeredFrom`, and before `offeredBefore`: ISO 8601, UTC. */
  readonly offeredFrom?: string | undefined;
  readonly offeredBefore?: string | undefined;
  /** Last digits of either number: `1512345` finds `+49301512345` and `0301512345`. */
  readonly number?: string | undefined;
  readonly provider?: string | undefined;
  readonly direction?: CallRecord['direction'] | undefined;
  readonly outcome?: CallRecord['outcome'] | undefined;
  readonly endReason?: CallRecord['endReason'] | undefined;
  readonly state?: CallRecord['state'] | undefined;
}

/** A page of records, newest first. */
export interface RecordPage {
  readonly records: readonly CallRecord[];
  /** The next page's cursor. Absent on the last page. */
  readonly nextCursor?: string;
}

/** A request to the store's thread that has a reply. */
export type Question =
  | { readonly type: 'get'; readonly id: string }
  | {
      readonly type: 'list';
      readonly filter: RecordFilter;
      readonly limit: number;
      readonly cursor: string | undefined;
    }
  | { readonly type: 'callbacks' }
  | { readonly type: 'recover' }
  | { readonly type: 'is-dead'; readonly process: string }
  | { readonly type: 'leave' }
  | { readonly type: 'end-left'; readonly record: CallRecord }
  | { readonly type: 'close' };

/** Messages to the store's thread. */
export type ToStore =
  | { readonly type: 'write'; readonly write: Write }
  | { readonly type: 'limit'; readonly limits: StoreLimits }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question };

/** Messages from the store's thread. */
export type FromStore =
  | { readonly type: 'settled'; readonly written: number; readonly refused: number }
  /** `problem` undefined: the database works. Otherwise: what is wrong with it. */
  | { readonly type: 'health'; readonly problem: string | undefined }
  | { readonly type: 'remark'; readonly text: string }
  /** Calls that were live when the previous process died. Sent before the first `health`. */
  | { readonly type: 'recovered'; readonly records: readonly CallRecord[] }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly message: string };
