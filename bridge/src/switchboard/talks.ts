import type { AriChannel } from '../ari/model.ts';
import { isOwn, ownId, parseOwnId } from '../call/asterisk-ids.ts';
import type { CallRecord } from '../records/record.ts';
import { hasHungUp, isHere } from './channel-place.ts';

/** Two who talk to each other without us: a bridged transfer that has come to be in a process before. */
export interface Talk {
  readonly caller: AriChannel;
  /** Who took the bot's place. */
  readonly leg: AriChannel;
  /** Their mixing bridge. */
  readonly bridgeId: string;
  /** Whether the second leg is in it already. */
  readonly isJoined: boolean;
}

type Bridges = readonly { readonly id: string; readonly channels: readonly string[] }[];

/** Where talks are looked for: what Asterisk holds of that. */
interface Held {
  readonly channels: readonly AriChannel[];
  readonly bridges: Bridges;
  readonly appChannelIds: ReadonlySet<string>;
}

/**
 * Finds who talks. Asterisk alone shows it, whatever became of the record: a second leg of ours has answered, and its caller is in the
 * mixing bridge that it was made for, without a media channel. `isTaken`: what is a call's of now, or has been left.
 */
export function findTalks(
  { channels, bridges, appChannelIds }: Held,
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
 * Whether a caller who waits in our app talked to a second leg, by their record, when the process before died: that one has gone since.
 * Whom a network or the dialplan took is not in our app any more, and who is with a media channel has got a bot since.
 */
export function wasHandedOver(before: CallRecord | undefined, callerId: string, bridges: Bridges): boolean {
  const { status, mode } = before?.transfer ?? {};
  const hasBot = bridges.some(
    ({ channels }) => channels.includes(callerId) && channels.some((id) => isOwn(id, 'pcm')),
  );
  return status === 'completed' && mode === 'blind' && !hasBot;
}
