import type { Adopted } from '../call/adopted.ts';
import type { AdoptedTalk } from '../call/adopted-talk.ts';
import type { CallInfo } from '../call/info.ts';
import type { CallRecord } from '../records/record.ts';

/**
 * Calls that were live when the previous process died. A call is adopted if Asterisk still has its
 * channel; otherwise it is ended.
 */
export class AdoptableCalls {
  readonly #records = new Map<string, CallRecord>();
  /** Bridged transfers to adopt, by the caller's channel, until the caller has a call. */
  readonly #talks = new Map<string, AdoptedTalk>();

  add(records: readonly CallRecord[]): void {
    for (const record of records) this.#records.set(record.channelId, record);
  }

  /** Calls that have neither been adopted nor ended. */
  get all(): CallRecord[] {
    return [...this.#records.values()];
  }

  has(channelId: string): boolean {
    return this.#records.has(channelId);
  }

  /** The call's caller is now on another channel than in its record. */
  move(record: CallRecord, channelId: string): void {
    if (this.#records.delete(record.channelId)) this.#records.set(channelId, record);
  }

  /** Removes a call, whichever channel its caller is on. Returns false if it is not on the list. */
  remove(record: CallRecord): boolean {
    const [channelId] = [...this.#records].find(([, known]) => known === record) ?? [];
    return channelId !== undefined && this.#records.delete(channelId);
  }

  /** The bridged transfers of all callers that have one. */
  get talks(): ReadonlyMap<string, AdoptedTalk> {
    return this.#talks;
  }

  /** A caller has this bridged transfer, or none. */
  setTalk(callerId: string, talk: AdoptedTalk | undefined): void {
    if (talk === undefined) this.#talks.delete(callerId);
    else this.#talks.set(callerId, talk);
  }

  /** Removes and returns a caller's bridged transfer. */
  takeTalk(callerId: string): AdoptedTalk | undefined {
    const talk = this.#talks.get(callerId);
    this.#talks.delete(callerId);
    return talk;
  }

  /** Removes and returns a channel's call. */
  take(channelId: string): CallRecord | undefined {
    const record = this.#records.get(channelId);
    this.#records.delete(channelId);
    return record;
  }
}

/**
 * Restores what Asterisk does not keep of an adopted call, such as its ids, numbers and times.
 * Returns `info` unchanged without a record.
 */
export function asAdopted(info: CallInfo, before: CallRecord | undefined): CallInfo {
  if (before === undefined) return info;
  const { callId, requestedCallId, channelId, direction, from, to, times } = before;
  const callerId = info.channelId === channelId ? {} : { callerId: info.channelId };
  return {
    ...info,
    callId,
    requestedCallId,
    channelId,
    direction,
    from,
    to,
    tenant: before.tenant ?? info.tenant,
    callbackUrl: before.callbackUrl ?? info.callbackUrl,
    dialledAtMs: Date.parse(times.offered),
    answeredAtMs: times.answered === undefined ? undefined : Date.parse(times.answered),
    maxDurationMs: before.maxDurationSeconds === undefined ? undefined : before.maxDurationSeconds * 1000,
    adopted: { ...adoptedFrom(before), ...callerId },
  };
}

/** The state that a live call's record holds. */
function adoptedFrom(before: CallRecord): Adopted {
  const { times, transfer, transferBy } = before;
  return {
    metBot: times.botReady !== undefined && times.answered !== undefined,
    isHeld: before.isHeld ?? false,
    recordingFiles:
      before.recordingFiles ?? (before.recordingFile === undefined ? [] : [before.recordingFile]),
    isRecordingPaused: before.isRecordingPaused ?? false,
    times,
    transferBy,
    transfer:
      transfer?.status === 'pending' ? { ...transfer, status: 'failed', reason: 'bridge-died' } : transfer,
  };
}
