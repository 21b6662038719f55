import type { AriChannel } from '../ari/model.ts';
import { isOwn, ownId, parseOwnId } from '../call/asterisk-ids.ts';
import type { CallRecord } from '../records/record.ts';
import { hasHungUp, isHere } from './channel-place.ts';

/** A bridged transfer of a previous process: caller and second leg talk without us. */
export interface Talk {
  readonly caller: AriChannel;
  /** The second leg, which took the bot's place. */
  readonly leg: AriChannel;
  /** Their mixing bridge. */
  readonly bridgeId: string;
  /** Whether the second leg is already in the bridge. */
  readonly isJoined: boolean;
}

type Bridges = readonly { readonly id: string; readonly channels: readonly string[] }[];

/** Asterisk's state, as far as bridged transfers need it. */
interface TransferFacts {
  readonly channels: readonly AriChannel[];
  readonly bridges: Bridges;
  readonly appChannelIds: ReadonlySet<string>;
}

/**
 * Finds bridged transfers by Asterisk's state alone, whatever their record says. A second leg of
 * ours has been answered, its caller is in the mixing bridge of that leg, and no media channel is.
 * `isTaken`: whether a channel or bridge belongs to a call, or was released.
 */
export function findTalks(
  { channels, bridges, appChannelIds }: TransferFacts,
  isTaken: (id: string) => boolean,
): Talk[] {
  const isIn = (channel: AriChannel) =>
    channel.state === 'Up' && appChannelIds.has(channel.id) && !hasHungUp(channel) && !isTaken(channel.id);
  return channels.flatMap((leg) => {
    const own = isOwn(leg.id, 'pct') && isIn(leg) ? parseOwnId(leg.id) : undefined;
    if (own === undefined) return [];
    const bridgeId = ownId({ ...own, kind: 'pcb', number: own.number.split('.', 1)[0] ?? '' });
    const bridge = bridges.find(({ id }) => id === bridgeId);
    if (bridge === undefined || isTaken(bridgeId)) return [];
    if (bridge.channels.some((id) => isOwn(id, 'pcm'))) return [];
    const isJoined = bridge.channels.includes(leg.id);
    if (!isJoined && !isHere(leg)) return [];
    const others = channels.filter((channel) => !isOwn(channel.id, 'pct') && isIn(channel));
    const caller = others.find(({ id }) => bridge.channels.includes(id));
    return caller === undefined ? [] : [{ caller, leg, bridgeId, isJoined }];
  });
}

/**
 * Whether a caller in our app was talking to a second leg, by its record, when the previous process
 * died. That leg has hung up since. A caller that a REFER or the dialplan took is not in our app. A
 * caller bridged with a media channel has a bot again.
 */
export function talkedToLeg(before: CallRecord | undefined, callerId: string, bridges: Bridges): boolean {
  const { status, mode } = before?.transfer ?? {};
  const hasBot = bridges.some(
    ({ channels }) => channels.includes(callerId) && channels.some((id) => isOwn(id, 'pcm')),
  );
  return status === 'completed' && mode === 'blind' && !hasBot;
}
