import type { AriChannel } from '../ari/model.ts';
import { DIAL_ID_PREFIX } from '../call/dial.ts';
import { isTelephone } from '../call/info.ts';
import type { Beliefs, BelievedDial } from './beliefs.ts';
import { isAtStart, stasisArgs } from './channel-place.ts';
import type { Holdings } from './holdings.ts';

/** An external client's dial whose channel is gone without an event of its end. */
type LostDial = Pick<BelievedDial, 'channelId' | 'callId' | 'createdAtMs'>;

/** What is known of all channels, also of those that Asterisk cannot show. */
interface Existing {
  readonly exists: ReadonlySet<string>;
  /** Asterisk has restarted. */
  readonly isAsteriskLost: boolean;
}

/** Legs that Asterisk dialled because a dial was forwarded, with the channel of that dial. */
export function forwardedLegs(beliefs: Beliefs, holdings: Holdings, existing: Existing): Map<string, string> {
  const lost = lostDials(beliefs, existing);
  const { channels, appChannelIds } = holdings;
  const legs = lost.length === 0 ? [] : channels.filter(({ id }) => appChannelIds.has(id));
  return new Map(
    legs.flatMap((leg) => {
      if (beliefs.owned.has(leg.id) || beliefs.pendingReleases.has(leg.id)) return [];
      const from = forwardedFrom(leg, stasisArgs(leg), lost);
      return from === undefined ? [] : [[leg.id, from.channelId]];
    }),
  );
}

/**
 * External dials whose channel is gone without an event, also those of the previous process. A late
 * dial's channel may not have existed yet when Asterisk was read.
 */
function lostDials(
  { dials, lateDials = [], adoptable }: Beliefs,
  { exists, isAsteriskLost }: Existing,
): LostDial[] {
  // After a restart of Asterisk the legs that it dialled are gone too.
  if (isAsteriskLost) return [];
  const before = adoptable.filter(
    ({ state, channelId }) =>
      (state === 'dialling' || state === 'ringing') && !channelId.startsWith(DIAL_ID_PREFIX),
  );
  const all = [
    ...dials,
    ...lateDials,
    ...before.map(({ callId, channelId }) => ({
      channelId,
      callId: callId === channelId ? undefined : callId,
    })),
  ];
  return all.filter(({ channelId }) => !exists.has(channelId));
}

/**
 * Finds the lost dial that was forwarded (SIP 3xx) to this channel, which Asterisk dialled without
 * an event. Such a leg inherits the dial's app arguments, but not its variables or caller number.
 * It is an originated channel without `X_CALL_ID`. It has the call id of a lost dial, or else
 * neither a caller number nor another id.
 */
function forwardedFrom(
  channel: AriChannel,
  args: readonly string[] | undefined,
  lost: readonly LostDial[],
): LostDial | undefined {
  const { channelvars: variables = {} } = channel;
  if (!isAtStart(channel) || !isTelephone(channel)) return undefined;
  if (variables.X_CALL_ID || variables.INBOUND_DID) return undefined;
  const createdAtMs = Date.parse(channel.creationtime ?? '');
  return lost.find((dial) => {
    if (dial.createdAtMs !== undefined && createdAtMs < dial.createdAtMs) return false;
    if (dial.callId !== undefined && args?.[0]) return args[0] === dial.callId;
    return channel.connected.number === '';
  });
}
