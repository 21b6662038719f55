import type { AriChannel } from '../ari/model.ts';
import { isTelephone } from '../call/info.ts';

/** A dial of somebody else's whose channel is gone, and nothing was told of its end. */
export interface LostDial {
  /** The call's id, as far as whoever placed it has said it. */
  readonly callId?: string | undefined;
  /** When its channel came to be, by Asterisk's clock: Unix time, ms; NaN or absent where that is not known. */
  readonly createdAtMs?: number;
}

/**
 * The lost dial whose callee's side must have forwarded it (3xx), so that Asterisk dialled this channel, of which nobody told.
 * Such a leg inherits the app arguments of the dial, but neither its variables nor its caller's number: an originated channel without
 * `X_CALL_ID` that has the call id of a lost dial, or neither a caller's number nor another id, came out of that dial.
 */
export function forwardedFrom<D extends LostDial>(
  channel: AriChannel,
  args: readonly string[] | undefined,
  lost: readonly D[],
): D | undefined {
  const { channelvars: variables = {}, dialplan } = channel;
  // As a channel begins that Asterisk dials: one that a dialplan runs has gone on from there.
  const isDialled = dialplan.exten === 's' && (dialplan.priority ?? 1) === 1;
  if (!isDialled || !isTelephone(channel)) return undefined;
  if (variables.X_CALL_ID || variables.INBOUND_DID) return undefined;
  const createdAtMs = Date.parse(channel.creationtime ?? '');
  return lost.find((dial) => {
    if (dial.createdAtMs !== undefined && createdAtMs < dial.createdAtMs) return false;
    if (dial.callId !== undefined && args?.[0]) return args[0] === dial.callId;
    return channel.connected.number === '';
  });
}
