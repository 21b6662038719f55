import type { AriChannel } from './ari/model.ts';
import { providerName } from './call-info.ts';
import { dialRecord, type UnansweredDial } from './records/build.ts';
import type { CallRecord } from './records/record.ts';

/** A call that somebody else places through ARI, while nobody has answered it. */
export interface Originated {
  /** As ARI showed it last. */
  channel: AriChannel;
  /** The number, where Asterisk told it. */
  dialled: string;
  ringing: boolean;
  /** App arguments of a channel that entered Stasis before its dial (ARI's create and dial): it waits there for the answer. */
  args?: readonly string[];
  /** Unix time, ms. */
  readonly sinceMs: number;
  /** As the process before knew it. */
  readonly before: CallRecord | undefined;
}

/** Dials that may be under way at once; of more, the oldest is forgotten. */
const DIALS_MAX = 10_000;

/** A created channel that was never dialled, left by a former process, goes after this time. */
const UNDIALLED_MAX_MS = 600_000;

/** The calls that others place, by channel. */
export class OriginatedCalls {
  readonly #dials = new Map<string, Originated>();

  get all(): ReadonlyMap<string, Originated> {
    return this.#dials;
  }

  /** The dial of a channel, which begins with the first that is heard of it. */
  of(channel: AriChannel, inherited: () => CallRecord | undefined): Originated {
    const known = this.#dials.get(channel.id);
    if (known !== undefined) {
      known.channel = channel;
      return known;
    }
    const before = inherited();
    const sinceMs = before === undefined ? Date.now() : Date.parse(before.times.offered);
    const dial: Originated = { channel, dialled: before?.to ?? '', ringing: false, sinceMs, before };
    this.#dials.set(channel.id, dial);
    const [oldest] = this.#dials.keys();
    if (this.#dials.size > DIALS_MAX && oldest !== undefined) this.#dials.delete(oldest);
    return dial;
  }

  /** Takes the dial of a channel off the list: it was answered, or it failed. */
  take(channelId: string): Originated | undefined {
    const dial = this.#dials.get(channelId);
    this.#dials.delete(channelId);
    return dial;
  }
}

/** What is known of a dial, for its record. */
export function describeDial({ channel, dialled, args, sinceMs, before }: Originated): UnansweredDial {
  const variables = channel.channelvars ?? {};
  return {
    callId: before?.callId || variables.X_CALL_ID || args?.[0] || channel.id,
    channelId: channel.id,
    sipCallId: channel.protocol_id,
    provider: providerName(channel) ?? '',
    tenant: variables.X_TENANT || before?.tenant,
    from: before?.from ?? channel.connected.number,
    to: dialled || channel.caller.number,
    callbackUrl: variables.X_CALLBACK_URL || before?.callbackUrl,
    dialledAtMs: sinceMs,
  };
}

/** The record of a dial under way. */
export function originatedRecord(dial: Originated): CallRecord {
  return dialRecord(describeDial(dial), dial.ringing ? 'ringing' : 'dialling');
}

/** A channel of ours, made to be dialled by a process that died before it could. */
export function isForgotten({ channel, args, sinceMs }: Originated): boolean {
  return args !== undefined && channel.state === 'Down' && Date.now() - sinceMs > UNDIALLED_MAX_MS;
}
