import type { AriChannel } from '../ari/model.ts';
import { type CallIds, isUsableId } from '../call/call-ids.ts';
import { providerName } from '../call/info.ts';
import { dialRecord, type UnansweredDial } from '../records/build.ts';
import type { CallRecord } from '../records/record.ts';
import { printable } from '../text/outside-text.ts';

/** An unanswered call that an external client placed through ARI. */
export interface Originated {
  /** The channel as ARI last showed it. */
  readonly channel: AriChannel;
  /** The dialled number, if Asterisk reported it. */
  readonly dialled: string;
  readonly ringing: boolean;
  /** The callee's side has forwarded it (3xx). A forwarded dial ends. */
  readonly isForwarded: boolean;
  /**
   * App arguments of a channel that entered Stasis before its dial (ARI's create and dial). It
   * waits there for the answer.
   */
  readonly args?: readonly string[];
  /** Unix time, ms. */
  readonly sinceMs: number;
  /** Assigns call ids. */
  readonly ids: CallIds;
  /** Its record from the previous process. */
  readonly before: CallRecord | undefined;
}

/** A channel created by a previous process and never dialled is hung up after this time. */
const UNDIALLED_MAX_MS = 600_000;

/** The call id that the client asks for, as far as it is known before the answer. */
export function wishedId({ channel, args, before }: Originated): string | undefined {
  return [before?.callId, channel.channelvars?.X_CALL_ID, args?.[0]].find(isUsableId);
}

/** The facts of a dial for its record. */
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

/** The record of a live dial. */
export function originatedRecord(dial: Originated): CallRecord {
  return dialRecord(describeDial(dial), dial.ringing ? 'ringing' : 'dialling');
}

/** Whether a channel was created to be dialled by a process that died before it dialled. */
export function isForgotten({ channel, args, sinceMs }: Originated): boolean {
  return args !== undefined && channel.state === 'Down' && Date.now() - sinceMs > UNDIALLED_MAX_MS;
}
