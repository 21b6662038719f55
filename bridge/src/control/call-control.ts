import type { Call } from '../call/call.ts';
import type { TransferRefusal } from '../call/transfer-reasons.ts';
import type { RecordingRequest, TransferRequest } from '../pipecat/dialect.ts';
import { CAUSE } from '../q850/causes.ts';
import type { RecordingState } from '../recording/recorder.ts';
import { readCursor } from '../records/cursor.ts';
import type { CallRecord } from '../records/record.ts';
import type { RecordStore } from '../records/store.ts';
import { recordOf } from '../reports/reports.ts';
import { CallPlacing, type Placed, type PlacingContext } from './call-placing.ts';
import type { CallOrder, ListQuery } from './orders.ts';
import { askAsterisk, askMedia, askRecords, CALLS_RETRY_S, RequestRefused } from './request-refused.ts';

/** The field to report for a refused transfer. Other refusals come from the call's state. */
const TRANSFER_FIELDS: Readonly<Partial<Record<TransferRefusal, string>>> = {
  'unknown-provider': 'provider',
  'invalid-number': 'to',
  'number-not-allowed': 'to',
  'context-not-allowed': 'context',
  'invalid-extension': 'extension',
};

/** What call control works with. */
export interface CallControlContext extends PlacingContext {
  readonly records: Pick<RecordStore, 'get' | 'list'>;
}

/** The API's operations on calls. Methods throw, or reject with, a {@link RequestRefused}. */
export class CallControl {
  readonly #context: CallControlContext;
  readonly #placing: CallPlacing;

  constructor(context: CallControlContext) {
    this.#context = context;
    this.#placing = new CallPlacing(context);
  }

  /** Places a call. If its order was placed before, returns that call instead. */
  async place(order: CallOrder): Promise<Placed> {
    return await this.#placing.place(order);
  }

  /** A call has changed: updates the record of a recent order. */
  changed(record: CallRecord): void {
    this.#placing.recent.changed(record);
  }

  /** Whether a call is under way here, or being placed. */
  async has(id: string): Promise<boolean> {
    const { live } = this.#context.switchboard;
    return live.record(id) !== undefined || (await this.#placing.begun(id)) !== undefined;
  }

  /** Whether a call has ended, as far as its record is known. */
  async hasEnded(id: string): Promise<boolean> {
    const record = await this.#find(id).catch(() => undefined);
    return record?.state === 'closed';
  }

  /** The record of a live call, else the stored record. */
  async get(id: string): Promise<CallRecord> {
    const record = await this.#find(id);
    if (record === undefined) throw new RequestRefused(404, `no call has the id ${id}`);
    return record;
  }

  /** Calls, newest first. Live calls show their current state. */
  async list(query: ListQuery): Promise<{ calls: CallRecord[]; nextCursor?: string }> {
    const { since, until, limit, cursor, ...filter } = query;
    if (cursor !== undefined && readCursor(cursor) === undefined)
      throw new RequestRefused(422, 'is the nextCursor of no page', { field: 'cursor' });
    const utc = (time: string | undefined) => (time === undefined ? undefined : new Date(time).toISOString());
    const times = { offeredFrom: utc(since), offeredBefore: utc(until) };
    const page = await askRecords(() => this.#context.records.list({ ...filter, ...times }, limit, cursor));
    const others = await this.#context.elsewhere.records();
    const records = [...others, ...this.#context.switchboard.live.records];
    const live = new Map(records.map((record) => [record.channelId, record]));
    const now = (record: CallRecord) => (record.state === 'closed' ? undefined : live.get(record.channelId));
    const calls = page.records.map((record) => now(record) ?? record);
    return page.nextCursor === undefined ? { calls } : { calls, nextCursor: page.nextCursor };
  }

  /** Hangs up a call, or cancels its dial. A call that has ended is returned unchanged. */
  async hangUp(id: string): Promise<CallRecord> {
    const call = this.#context.switchboard.live.find(id);
    if (call !== undefined) {
      call.end({ kind: 'api-hangup' });
      return recordOf(call);
    }
    const begun = await this.#placing.begun(id);
    if (begun !== undefined) {
      begun.dial.cancel();
      // The dial may have become a call meanwhile.
      this.#context.switchboard.live.find(id)?.end({ kind: 'api-hangup' });
      return begun.record;
    }
    const record = await this.get(id);
    if (record.state !== 'closed')
      await askAsterisk(() => this.#context.ari.hangUp(record.channelId, CAUSE.normalClearing));
    return record;
  }

  /** Sends DTMF digits to the caller. */
  dtmf(id: string, digits: string): CallRecord {
    const call = this.#active(id);
    call.caller.dtmf(digits);
    return recordOf(call);
  }

  /** Transfers the caller. */
  transfer(id: string, request: TransferRequest): CallRecord {
    const call = this.#active(id);
    const why = call.transfer(request, 'operator');
    if (why === undefined) return recordOf(call);
    const reason = `the call cannot be transferred: ${why}`;
    if (why === 'provider-full') throw new RequestRefused(429, reason, { retryAfterS: CALLS_RETRY_S });
    const field = TRANSFER_FIELDS[why];
    throw field === undefined ? new RequestRefused(409, reason) : new RequestRefused(422, reason, { field });
  }

  /** Pauses or resumes a recording. Resolves with its new state. */
  async recording(id: string, state: RecordingRequest): Promise<RecordingState | 'off'> {
    const call = this.#active(id);
    return await askMedia(() => call.recording(state));
  }

  #active(id: string): Call {
    const call = this.#context.switchboard.live.find(id);
    if (call === undefined) throw new RequestRefused(404, `no call under way has the id ${id}`);
    if (call.state !== 'active') throw new RequestRefused(409, 'the call is not answered, or is ending');
    return call;
  }

  async #find(id: string): Promise<CallRecord | undefined> {
    const { switchboard, records } = this.#context;
    const live = switchboard.live.record(id) ?? (await this.#placing.begun(id))?.record;
    if (live !== undefined) return live;
    return await askRecords(() => records.get(id)).catch((error) => {
      const recent = this.#placing.recent.get(id);
      if (recent === undefined) throw error;
      return recent;
    });
  }
}
