import type { Adopted } from '../call/adopted.ts';
import type { CallInfo } from '../call/info.ts';
import type { KeptTalk } from '../call/kept-talk.ts';
import type { CallRecord } from '../records/record.ts';

/** Calls that were under way when the process before died: they go on where Asterisk still holds their channels, and end where it does not. */
export class AdoptableCalls {
  readonly #records = new Map<string, CallRecord>();
  /** Callers who talk to a second leg, or did, by their channel: until there is a call for them. */
  readonly talks = new Map<string, KeptTalk>();

  add(records: readonly CallRecord[]): void {
    for (const record of records) this.#records.set(record.channelId, record);
  }

  /** Those that nothing has been heard of. */
  get all(): CallRecord[] {
    return [...this.#records.values()];
  }

  has(channelId: string): boolean {
    return this.#records.has(channelId);
  }

  /** The caller of a call is on another channel than its record says. */
  move(record: CallRecord, channelId: string): void {
    if (this.#records.delete(record.channelId)) this.#records.set(channelId, record);
  }

  /** Takes a call off the list, whichever channel its caller is on. False: it is not there any more. */
  remove(record: CallRecord): boolean {
    const [channelId] = [...this.#records].find(([, one]) => one === record) ?? [];
    return channelId !== undefined && this.#records.delete(channelId);
  }

  /** Takes the talk of a caller off the list. */
  takeTalk(callerId: string): KeptTalk | undefined {
    const talk = this.talks.get(callerId);
    this.talks.delete(callerId);
    return talk;
  }

  /** Takes the call of a channel off the list. */
  take(channelId: string): CallRecord | undefined {
    const record = this.#records.get(channelId);
    this.#records.delete(channelId);
    return record;
  }
}

/** A call that goes on, with what Asterisk does not keep of it: whom an originated channel is for, and since when. */
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

/** What the record of a call under way says of it. */
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
