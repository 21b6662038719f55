import { DIAL_ID_PREFIX } from '../call/dial.ts';
import { type NumberPlan, toE164 } from '../config/number-plan.ts';
import type { CallRecord } from '../records/record.ts';

/** Orders kept in memory. Older ones are found in the stored records only. */
const ORDERS_MAX = 10_000;

/**
 * Records of the last orders' calls, by call id. A repeated order finds its call even if the stored
 * records cannot be read.
 */
export class RecentOrders {
  readonly #records = new Map<string, CallRecord>();

  /** An order has become a call. */
  placed(record: CallRecord): void {
    this.#records.set(record.callId, record);
    const [oldest] = this.#records.keys();
    if (this.#records.size > ORDERS_MAX && oldest !== undefined) this.#records.delete(oldest);
  }

  /** A call has changed. Ignored unless it is one of these orders. */
  changed(record: CallRecord): void {
    if (this.#records.get(record.callId)?.channelId === record.channelId)
      this.#records.set(record.callId, record);
  }

  /** The call of an order, by its call id or channel id. */
  get(id: string): CallRecord | undefined {
    const known = this.#records.get(id);
    if (known !== undefined) return known;
    return [...this.#records.values()].find(({ channelId }) => channelId === id);
  }
}

/** The fields of an order that identify its call. */
interface RecentOrder {
  readonly to: string;
  readonly provider: string;
}

/**
 * Why an existing call is not the one that an order with the same id asks for. Undefined if it is.
 * An inbound call, or one that an external client placed, belongs to no order. `ordered` is the
 * call as this process placed it. It is undefined for a call of a previous process: then the number
 * is not compared. An invalid number is not compared either.
 */
export function otherCall(
  order: RecentOrder,
  call: CallRecord,
  ordered: CallRecord | undefined,
  plan: NumberPlan | undefined,
): string | undefined {
  if (!call.channelId.startsWith(DIAL_ID_PREFIX)) return 'another call has this id, which was not ordered';
  if (order.provider !== call.provider) return 'the call of this id was ordered over another provider';
  const to = plan === undefined ? undefined : toE164(order.to, plan);
  const isSame = to === undefined || ordered === undefined || to === ordered.to;
  return isSame ? undefined : 'the call of this id was ordered to another number';
}
