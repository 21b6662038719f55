import type { AriChannel } from './ari/model.ts';
import { adoptedFrom } from './call/adopted.ts';
import type { CallInfo } from './call-info.ts';
import type { CallRecord } from './records/record.ts';

/** What becomes of calls of the process before. `rings` takes the record off the list by `take`. */
export interface InheritedHandlers {
  readonly rings: (channel: AriChannel) => void;
  readonly died: (record: CallRecord) => void;
}

/** Calls that were under way when the process before died: they go on where Asterisk still holds their channels, and end where it does not. */
export class InheritedCalls {
  readonly #records = new Map<string, CallRecord>();

  add(records: readonly CallRecord[]): void {
    for (const record of records) this.#records.set(record.channelId, record);
  }

  has(channelId: string): boolean {
    return this.#records.has(channelId);
  }

  /** Takes the call of a channel off the list. */
  take(channelId: string): CallRecord | undefined {
    const record = this.#records.get(channelId);
    this.#records.delete(channelId);
    return record;
  }

  /**
   * After all callers who wait were taken, but those that are being asked for: of the rest, a callee's phone may ring yet; the others
   * have died with their process.
   */
  settle(channels: readonly AriChannel[], asking: ReadonlySet<string>, on: InheritedHandlers): void {
    const present = new Map(channels.map((channel) => [channel.id, channel]));
    for (const [id, record] of this.#records) {
      if (asking.has(id)) continue;
      const isDial = record.state === 'dialling' || record.state === 'ringing';
      const channel = present.get(id);
      if (isDial && channel !== undefined && channel.state !== 'Up') on.rings(channel);
      else on.died(record);
      this.#records.delete(id);
    }
  }
}

/** A call that goes on, with what Asterisk does not keep of it: whom an originated channel is for, and since when. */
export function asInherited(info: CallInfo, before: CallRecord | undefined): CallInfo {
  if (before === undefined) return info;
  const { callId, requestedCallId, direction, from, to, times } = before;
  return {
    ...{ ...info, callId, requestedCallId, direction, from, to },
    tenant: before.tenant ?? info.tenant,
    callbackUrl: before.callbackUrl ?? info.callbackUrl,
    dialledAtMs: Date.parse(times.offered),
    answeredAtMs: times.answered === undefined ? undefined : Date.parse(times.answered),
    maxDurationMs: before.maxDurationSeconds === undefined ? undefined : before.maxDurationSeconds * 1000,
    adopted: adoptedFrom(before),
  };
}
