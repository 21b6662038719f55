import { randomUUID } from 'node:crypto';
import type { AriClient } from '../ari/client.ts';
import type { AriChannel } from '../ari/model.ts';
import { Dial, dialChannelId } from '../call/dial.ts';
import { type CallDefaults, describeCall } from '../call/info.ts';
import { callDefaults, callSettings } from '../call/settings.ts';
import type { Config } from '../config/environment.ts';
import { forProvider, toE164 } from '../config/number-plan.ts';
import type { Provider } from '../config/providers.ts';
import { dialRecord } from '../records/build.ts';
import type { CallRecord } from '../records/record.ts';
import type { RecordStore } from '../records/store.ts';
import type { PlacedCall } from '../switchboard/running-calls.ts';
import type { Switchboard } from '../switchboard/switchboard.ts';
import { type CheckedOrder, checkOrder } from './order-check.ts';
import { orderVariables } from './order-variables.ts';
import type { CallOrder } from './orders.ts';
import { otherCall, RecentOrders } from './recent-orders.ts';
import { askAsterisk, askProcesses, askRecords, CALLS_RETRY_S, RequestRefused } from './request-refused.ts';

/** What it takes to place calls. */
export interface PlacingContext {
  readonly config: Config;
  readonly ari: AriClient;
  readonly switchboard: Switchboard;
  readonly records: Pick<RecordStore, 'get'>;
  /** Why ARI cannot be used now. Undefined if it can. */
  readonly ariProblem: () => string | undefined;
  readonly elsewhere: RecordsElsewhere;
}

/** Records of calls that other processes of the bridge have. */
export interface RecordsElsewhere {
  /** All of them. Without those of a process that does not answer. Never rejects. */
  records(): Promise<readonly CallRecord[]>;
  /** By call id or channel id. Rejects if a process does not answer. */
  record(id: string): Promise<CallRecord | undefined>;
}

/** A call's record, and whether this order created the call. */
export interface Placed {
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

/** A call whose channel is being created. */
interface Begun {
  readonly record: CallRecord;
  readonly dial: Dial;
}

/**
 * Places the calls that the API orders, each order once. Methods reject with a
 * {@link RequestRefused}.
 */
export class CallPlacing {
  /** Records of the last orders' calls. */
  readonly recent = new RecentOrders();
  readonly #context: PlacingContext;
  /** By call id: two concurrent orders with one id create one call. */
  readonly #placing = new Map<string, Placing>();
  /** Channels being created, per provider. Their calls are not counted elsewhere yet. */
  readonly #creating = new Map<string, number>();

  constructor(context: PlacingContext) {
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

  /** The call whose channel is being created, by its call id or channel id. */
  async begun(id: string): Promise<Begun | undefined> {
    const placing = [...this.#placing].find(([callId]) => callId === id || dialChannelId(callId) === id);
    return await placing?.[1].begun;
  }

  /** The call that has an order's id. Refuses if records cannot be read: it could ring twice. */
  async #known(order: CallOrder, callId: string): Promise<CallRecord | undefined> {
    const { switchboard, records } = this.#context;
    const known = switchboard.live.record(callId) ?? this.recent.get(callId);
    if (known?.callId === callId) return known;
    // An id that we have just generated is not in use.
    if (order.callId === undefined) return undefined;
    // A process that is about to end may place it just now.
    const other = await askProcesses(() => this.#context.elsewhere.record(callId));
    if (other?.callId === callId) return other;
    const stored = await askRecords(() => records.get(callId));
    return stored?.callId === callId ? stored : undefined;
  }

  #again(order: CallOrder, record: CallRecord): Placed {
    const plan = this.#context.config.providers.get(order.provider)?.numbers;
    const why = otherCall(order, record, this.recent.get(record.callId), plan);
    if (why !== undefined) throw new RequestRefused(409, why, { field: 'callId' });
    return { record, isNew: false };
  }

  async #place(order: CallOrder, callId: string, begin: (call: Begun) => void): Promise<Placed> {
    const known = await this.#known(order, callId);
    if (known !== undefined) return this.#again(order, known);
    const checked = checkOrder(order, callId, this.#context.config);
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
      const create = () => askAsterisk(() => this.#create(checked, channelId));
      const record = await switchboard.running.place(channelId, dial, create);
      this.recent.placed(record);
      return { record, isNew: true };
    } catch (error) {
      switchboard.ids.forget(callId);
      throw error;
    } finally {
      this.#count(checked.provider.name, -1);
    }
  }

  #count(provider: string, change: 1 | -1): void {
    this.#creating.set(provider, (this.#creating.get(provider) ?? 0) + change);
  }

  #requireRoom({ name, limits }: Provider): void {
    const { ariProblem, switchboard } = this.#context;
    const problem = ariProblem();
    if (problem !== undefined) throw new RequestRefused(503, problem, { retryAfterS: CALLS_RETRY_S });
    const { orderRefusal: refusal } = switchboard.admission;
    if (refusal === 'handover')
      throw new RequestRefused(503, 'a new process takes the new calls', { retryAfterS: CALLS_RETRY_S });
    if (refusal === 'shutdown')
      throw new RequestRefused(503, 'the bridge is stopping', { retryAfterS: CALLS_RETRY_S });
    if (refusal === 'overload')
      throw new RequestRefused(503, 'the bridge is overloaded', { retryAfterS: CALLS_RETRY_S });
    if (refusal !== undefined) {
      throw new RequestRefused(429, 'MAX_CALLS of the bridge is reached', { retryAfterS: CALLS_RETRY_S });
    }
    const outbound = switchboard.live.charged(name) + (this.#creating.get(name) ?? 0);
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
