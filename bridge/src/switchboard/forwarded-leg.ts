import type { AriChannel } from '../ari/model.ts';
import { isTelephone } from '../call/info.ts';

/** An external client's dial whose channel is gone without an event of its end. */
export interface LostDial {
  /** The call id, if the client has set one. */
  readonly callId?: string | undefined;
  /** When the channel was created, by Asterisk's clock, Unix time, ms. NaN or absent if unknown. */
  readonly createdAtMs?: number;
}

/**
 * Finds the lost dial that was forwarded (SIP 3xx) to this channel, which Asterisk dialled without
 * an event. Such a leg inherits the dial's app arguments, but not its variables or caller number.
 * It is an originated channel without `X_CALL_ID`. It has the call id of a lost dial, or else
 * neither a caller number nor another id.
 */
export function forwardedFrom<D extends LostDial>(
  channel: AriChannel,
  args: readonly string[] | undefined,
  lost: readonly D[],
): D | undefined {
  const { channelvars: variables = {}, dialplan } = channel;
  // The dialplan location of a channel that Asterisk itself dialled. A channel that a dialplan runs
  // has moved on from it.
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
