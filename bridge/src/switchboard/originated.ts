import type { AriChannel } from '../ari/model.ts';
import { type CallIds, isUsableId } from '../call/call-ids.ts';
import { providerName } from '../call/info.ts';
import { dialRecord, type UnansweredDial } from '../records/build.ts';
import type { CallRecord } from '../records/record.ts';
import { printable } from '../text/outside-text.ts';

/** A call that somebody else places through ARI, while nobody has answered it. */
export interface Originated {
  /** As ARI showed it last. */
  channel: AriChannel;
  /** The number, where Asterisk told it. */
  dialled: string;
  ringing: boolean;
  /** The callee's side has forwarded it (3xx), which is its end. */
  isForwarded: boolean;
  /** App arguments of a channel that entered Stasis before its dial (ARI's create and dial): it waits there for the answer. */
  args?: readonly string[];
  /** Unix time, ms. */
  readonly sinceMs: number;
  /** Who has which call id. */
  readonly ids: CallIds;
  /** As the process before knew it. */
  before: CallRecord | undefined;
}

/** A created channel that was never dialled, left by a former process, goes after this time. */
const UNDIALLED_MAX_MS = 600_000;

/** The call id that whoever placed a call wants for it, as far as it is known before the answer. */
export function wishedId({ channel, args, before }: Originated): string | undefined {
  return [before?.callId, channel.channelvars?.X_CALL_ID, args?.[0]].find(isUsableId);
}

/** What is known of a dial, for its record. */
export function describeDial(dial: Originated): UnansweredDial {
  const { channel, dialled, sinceMs, before, ids } = dial;
  const variables = channel.channelvars ?? {};
  const wished = wishedId(dial);
  const isGiven = wished !== undefined && (wished === before?.callId || ids.claim(channel.id, wished));
  return {
    callId: isGiven ? wished : channel.id,
    requestedCallId: isGiven ? undefined : wished,
    channelId: channel.id,
    sipCallId: printable(channel.protocol_id),
    provider: printable(providerName(channel) ?? ''),
    tenant: printable(variables.X_TENANT ?? '') || before?.tenant,
    from: before?.from ?? printable(channel.connected.number),
    to: printable(dialled || channel.caller.number),
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
