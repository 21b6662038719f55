import { DIAL_ID_PREFIX } from '../call/dial.ts';
import { type NumberPlan, toE164 } from '../config/number-plan.ts';
import type { CallRecord } from '../records/record.ts';

/** Orders that are remembered; of more, the oldest are known by their records only. */
const ORDERS_MAX = 10_000;

/** The calls of the last orders as they were last known, by call id: an order that comes again finds its call though no record can be read. */
export class RecentOrders {
  readonly #records = new Map<string, CallRecord>();

  /** An order has become a call. */
  placed(record: CallRecord): void {
    this.#records.set(record.callId, record);
    const [oldest] = this.#records.keys();
    if (this.#records.size > ORDERS_MAX && oldest !== undefined) this.#records.delete(oldest);
  }

  /** Any call has changed. */
  changed(record: CallRecord): void {
    if (this.#records.get(record.callId)?.channelId === record.channelId)
      this.#records.set(record.callId, record);
  }

  /** The call of an order, by its id or its channel's. */
  get(id: string): CallRecord | undefined {
    const known = this.#records.get(id);
    if (known !== undefined) return known;
    return [...this.#records.values()].find(({ channelId }) => channelId === id);
  }
}

/** What of an order says which call is meant. */
interface Order {
  readonly to: string;
  readonly provider: string;
}

/**
 * Why a call is not the one that an order of the same id means; undefined where it is. A call that came in, or that somebody else
 * placed, is nobody's order. `ordered` is the call as this process took its order; what the process before was told is not known to
 * the digit. What is no number at all names no other callee.
 */
export function otherCall(
  order: Order,
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
