import { randomUUID } from 'node:crypto';
import type { AriClient } from '../ari/client.ts';
import type { AriChannel } from '../ari/model.ts';
import { AriError } from '../ari/requests.ts';
import type { Call } from '../call/call.ts';
import { Dial, dialChannelId } from '../call/dial.ts';
import { type CallDefaults, describeCall } from '../call/info.ts';
import { callDefaults, callSettings } from '../call/settings.ts';
import type { TransferRefusal } from '../call/transfer-reasons.ts';
import { callbackTarget } from '../config/callback-url.ts';
import type { Config } from '../config/environment.ts';
import { type DialableNumber, dialable, forProvider, toE164 } from '../config/number-plan.ts';
import type { Provider } from '../config/providers.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import { CAUSE } from '../q850/causes.ts';
import type { RecordingState } from '../recording/recorder.ts';
import { dialRecord } from '../records/build.ts';
import { readCursor } from '../records/cursor.ts';
import type { CallRecord } from '../records/record.ts';
import type { RecordStore } from '../records/store.ts';
import { recordOf } from '../reports/reports.ts';
import type { PlacedCall, Switchboard } from '../switchboard/switchboard.ts';
import { orderVariables } from './order-variables.ts';
import type { CallOrder, ListQuery } from './orders.ts';
import { otherCall, RecentOrders } from './recent-orders.ts';

/** A refused request: `status` is the HTTP status, `field` the invalid field. */
export class RequestRefused extends Error {
  override name = 'RequestRefused';
  readonly status: number;
  readonly field: string | undefined;
  /** Seconds until a retry may succeed. */
  readonly retryAfterS: number | undefined;

  constructor(status: number, reason: string, about: { field?: string; retryAfterS?: number } = {}) {
    super(reason);
    this.status = status;
    this.field = about.field;
    this.retryAfterS = about.retryAfterS;
  }
}

/** What call control works with. */
export interface CallControlContext {
  readonly config: Config;
  readonly ari: AriClient;
  readonly switchboard: Switchboard;
  readonly records: Pick<RecordStore, 'get' | 'list'>;
  /** Why ARI cannot be used now. Undefined if it can. */
  readonly ariProblem: () => string | undefined;
}

/** A validated order. */
interface CheckedOrder {
  readonly order: CallOrder;
  readonly provider: Provider;
  readonly callId: string;
  readonly to: DialableNumber;
  readonly from: string;
}

/** A call's record, and whether this order created the call. */
interface Placed {
  readonly record: CallRecord;
  readonly isNew: boolean;
}

/** An order in progress. */
interface Placing {
  readonly order: CallOrder;
  readonly done: Promise<Placed>;
  /** Resolves after validation: with the call whose channel is created, or undefined. */
  readonly begun: Promise<Begun | undefined>;
}

interface Begun {
  readonly record: CallRecord;
  readonly dial: Dial;
}

/** The field to report for a refused transfer. Other refusals come from the call's state. */
const TRANSFER_FIELDS: Readonly<Partial<Record<TransferRefusal, string>>> = {
  'unknown-provider': 'provider',
  'invalid-number': 'to',
  'number-not-allowed': 'to',
  'context-not-allowed': 'context',
  'invalid-extension': 'extension',
};

/** A caller number that is not E.164: an extension, or a name that the provider assigned. */
const OWN_NUMBER = /^[\w+.*#-]{1,64}$/;
/** Retry-After when a limit is reached, s. When the next call ends is not known. */
const CALLS_RETRY_S = 5;

/** The API's operations on calls. Methods throw, or reject with, a {@link RequestRefused}. */
export class CallControl {
  readonly #context: CallControlContext;
  /** By call id: two concurrent orders with one id create one call. */
  readonly #placing = new Map<string, Placing>();
  readonly #recent = new RecentOrders();

  /** Channels being created, per provider. Their calls are not counted elsewhere yet. */
  readonly #creating = new Map<string, number>();

  constructor(context: CallControlContext) {
    this.#context = context;
  }

  /** Places a call. If its order was placed before, returns that call instead. */
  async place(order: CallOrder): Promise<Placed> {
    const callId = order.callId ?? randomUUID();
    const underWay = this.#placing.get(callId);
    if (underWay !== undefined) {
      const { record } = await underWay.done;
      return this.#again(order, record);
    }
    const begun = Promise.withResolvers<Begun | undefined>();
    const done = this.#place(order, callId, begun.resolve).finally(() => {
      begun.resolve(undefined);
      this.#placing.delete(callId);
    });
    this.#placing.set(callId, { order, done, begun: begun.promise });
    return await done;
  }

  /** A call has changed: updates the record of a recent order. */
  changed(record: CallRecord): void {
    this.#recent.changed(record);
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
    const page = await this.#stored(() => this.#context.records.list({ ...filter, ...times }, limit, cursor));
    const live = new Map(this.#context.switchboard.live.records.map((record) => [record.channelId, record]));
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
    const begun = await this.#begun(id);
    if (begun !== undefined) {
      begun.dial.cancel();
      // The dial may have become a call meanwhile.
      this.#context.switchboard.live.find(id)?.end({ kind: 'api-hangup' });
      return begun.record;
    }
    const record = await this.get(id);
    if (record.state !== 'closed')
      await this.#asterisk(() => this.#context.ari.hangUp(record.channelId, CAUSE.normalClearing));
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
  async recording(id: string, state: 'pause' | 'resume'): Promise<RecordingState | 'off'> {
    return await this.#active(id).recording(state);
  }

  #active(id: string): Call {
    const call = this.#context.switchboard.live.find(id);
    if (call === undefined) throw new RequestRefused(404, `no call under way has the id ${id}`);
    if (call.state !== 'active') throw new RequestRefused(409, 'the call is not answered, or is ending');
    return call;
  }

  async #find(id: string): Promise<CallRecord | undefined> {
    const { switchboard, records } = this.#context;
    const live = switchboard.live.record(id) ?? (await this.#begun(id))?.record;
    if (live !== undefined) return live;
    return await this.#stored(() => records.get(id)).catch((error) => {
      const recent = this.#recent.get(id);
      if (recent === undefined) throw error;
      return recent;
    });
  }

  /** The call whose channel is being created. */
  async #begun(id: string): Promise<Begun | undefined> {
    const placing = [...this.#placing].find(([callId]) => callId === id || dialChannelId(callId) === id);
    return await placing?.[1].begun;
  }

  /** The call that has an order's id. Refuses if records cannot be read: it could ring twice. */
  async #known(order: CallOrder, callId: string): Promise<CallRecord | undefined> {
    const { switchboard, records } = this.#context;
    const known = switchboard.live.record(callId) ?? this.#recent.get(callId);
    if (known?.callId === callId) return known;
    // An id that we have just generated is not in use.
    if (order.callId === undefined) return undefined;
    const stored = await this.#stored(() => records.get(callId));
    return stored?.callId === callId ? stored : undefined;
  }

  #again(order: CallOrder, record: CallRecord): Placed {
    const plan = this.#context.config.providers.get(order.provider)?.numbers;
    const why = otherCall(order, record, this.#recent.get(record.callId), plan);
    if (why !== undefined) throw new RequestRefused(409, why, { field: 'callId' });
    return { record, isNew: false };
  }

  async #place(order: CallOrder, callId: string, begin: (call: Begun) => void): Promise<Placed> {
    const known = await this.#known(order, callId);
    if (known !== undefined) return this.#again(order, known);
    const checked = this.#checked(order, callId);
    this.#requireRoom(checked.provider);
    const { ari, config, switchboard } = this.#context;
    const channelId = dialChannelId(callId);
    const ringTimeoutMs = order.ringTimeoutSeconds * 1000;
    const dial = new Dial(ari, { ringTimeoutMs, ariTimeoutMs: config.ARI_TIMEOUT_MS });
    if (!switchboard.ids.reserve(channelId, callId))
      throw new RequestRefused(409, 'another call has this id, which was not ordered', { field: 'callId' });
    this.#count(checked.provider.name, 1);
    begin({ record: orderedRecord(checked, channelId), dial });
    try {
      const create = () => this.#asterisk(() => this.#create(checked, channelId));
      const record = await switchboard.place(channelId, dial, create);
      this.#recent.placed(record);
      return { record, isNew: true };
    } catch (error) {
      // Asterisk may have created the channel although the request failed.
      await ari.hangUp(channelId, CAUSE.normalClearing).catch(() => {});
      switchboard.ids.forget(callId);
      throw error;
    } finally {
      this.#count(checked.provider.name, -1);
    }
  }

  #count(provider: string, change: 1 | -1): void {
    this.#creating.set(provider, (this.#creating.get(provider) ?? 0) + change);
  }

  #checked(order: CallOrder, callId: string): CheckedOrder {
    const provider = this.#context.config.providers.get(order.provider);
    if (provider === undefined)
      throw new RequestRefused(422, 'no provider has this name', { field: 'provider' });
    const { numbers } = provider;
    const to = dialable(order.to, numbers);
    if (to === 'invalid-number') {
      const national = numbers.countryCode === undefined ? '' : ', or a national number';
      throw new RequestRefused(422, `must be a number in E.164, such as +4930123456${national}`, {
        field: 'to',
      });
    }
    if (to === 'number-not-allowed') {
      const reason = `ALLOWED_PREFIXES of ${provider.name} does not allow this number`;
      throw new RequestRefused(422, reason, { field: 'to' });
    }
    const own = order.from ?? provider.callerId ?? '';
    const from = toE164(own, numbers) ?? own;
    if (from !== '' && !OWN_NUMBER.test(from)) {
      throw new RequestRefused(422, 'must be a number, or an extension', { field: 'from' });
    }
    if (order.callbackUrl !== undefined) {
      const target = callbackTarget(order.callbackUrl, this.#context.config.CALLBACK_HOSTS);
      if ('problem' in target) throw new RequestRefused(422, target.problem, { field: 'callbackUrl' });
    }
    const longestS = this.#context.config.MAX_CALL_DURATION_S;
    if (order.maxDurationSeconds !== undefined && order.maxDurationSeconds > longestS) {
      const reason = `must be at most MAX_CALL_DURATION_S, ${longestS}`;
      throw new RequestRefused(422, reason, { field: 'maxDurationSeconds' });
    }
    return { order, provider, callId, to, from };
  }

  #requireRoom({ name, limits }: Provider): void {
    const { ariProblem, switchboard } = this.#context;
    const problem = ariProblem();
    if (problem !== undefined) throw new RequestRefused(503, problem, { retryAfterS: CALLS_RETRY_S });
    const { refusal } = switchboard;
    if (refusal === 'shutdown')
      throw new RequestRefused(503, 'the bridge is stopping', { retryAfterS: CALLS_RETRY_S });
    if (refusal !== undefined) {
      throw new RequestRefused(429, 'MAX_CALLS of the bridge is reached', { retryAfterS: CALLS_RETRY_S });
    }
    const outbound = switchboard.live.outbound(name) + (this.#creating.get(name) ?? 0);
    if (limits.maxCalls > 0 && outbound >= limits.maxCalls) {
      throw new RequestRefused(429, `OUTBOUND_MAX_CALLS of ${name} is reached`, {
        retryAfterS: CALLS_RETRY_S,
      });
    }
    const waitMs = switchboard.live.rates.take({ name, limits }, performance.now());
    if (waitMs > 0) {
      const retryAfterS = Math.ceil(waitMs / 1000);
      throw new RequestRefused(429, `OUTBOUND_CALLS_PER_SECOND of ${name} is reached`, { retryAfterS });
    }
  }

  async #create({ order, provider, callId, to, from }: CheckedOrder, channelId: string): Promise<PlacedCall> {
    const { ari, config } = this.#context;
    const { numbers } = provider;
    const own = (toE164(from, numbers) === from ? forProvider(from, numbers) : undefined) ?? from;
    const { channelVariables, shown } = orderVariables(order, callId);
    const endpoint = `PJSIP/${to.dialled}@${provider.name}`;
    const channel = await ari.createChannel(channelId, endpoint, callId, {
      ...channelVariables,
      // As ARI's originate does: the callee is the channel's number, ours the connected line.
      'CALLERID(num)': to.e164,
      ...(own === '' ? {} : { 'CONNECTEDLINE(num)': own }),
    });
    const info = describePlaced(
      channel,
      channelVariables,
      provider,
      { callId, to: to.e164 },
      callDefaults(config),
    );
    const { maxDurationSeconds: maxS } = order;
    const maxDurationMs = maxS === undefined ? undefined : maxS * 1000;
    const placed = { ...info, from, variables: { ...info.variables, ...shown }, maxDurationMs };
    const settings = callSettings(config, placed);
    return {
      info: placed,
      settings: { ...settings, media: { ...settings.media, startOnAnswer: true } },
    };
  }

  async #asterisk<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof AriError)) throw error;
      if (error.status === 0)
        throw new RequestRefused(504, 'Asterisk did not reply; the same callId may be tried again');
      throw new RequestRefused(502, `Asterisk refused: ${error.message}`);
    }
  }

  async #stored<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      const reason = `the call records cannot be read: ${(error as Error).message}`;
      throw new RequestRefused(503, reason, { retryAfterS: CALLS_RETRY_S });
    }
  }
}

/** The record of a call whose channel is being created. */
function orderedRecord({ order, provider, callId, to, from }: CheckedOrder, channelId: string): CallRecord {
  const { tenant = provider.tenant, callbackUrl } = order;
  const ids = { callId, channelId, provider: provider.name };
  const about = { ...ids, tenant, from, to: to.e164, callbackUrl };
  return dialRecord({ ...about, dialledAtMs: Date.now() }, 'dialling');
}

function describePlaced(
  channel: AriChannel,
  variables: Readonly<Record<string, string>>,
  provider: Provider,
  { callId, to }: { readonly callId: string; readonly to: string },
  defaults: CallDefaults,
) {
  return describeCall({
    channel,
    variables,
    provider,
    defaults,
    appArgs: [callId],
    wasDialled: true,
    dialled: to,
    newId: () => callId,
  });
}
