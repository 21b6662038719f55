import type { AriChannel } from './ari/model.ts';
import { isOwn } from './call/asterisk-ids.ts';

/** What Asterisk holds, as it was read. */
export interface Holdings {
  readonly channels: readonly AriChannel[];
  readonly bridgeIds: readonly string[];
  /** Channels that our Stasis app is told of. */
  readonly appChannelIds: ReadonlySet<string>;
}

/** What belongs to running calls: ids of callers' channels, of media channels and second legs, and of mixing bridges. */
export interface Owned {
  readonly callers: ReadonlySet<string>;
  readonly media: ReadonlySet<string>;
  readonly bridges: ReadonlySet<string>;
}

/** What belongs to no call. */
export interface Leftovers {
  readonly bridgeIds: readonly string[];
  readonly mediaChannelIds: readonly string[];
  /** Callers in our app whom nobody serves. */
  readonly waiting: readonly AriChannel[];
}

/** What Asterisk holds in our name without a call: from a former process, an outage of the events, or a removal that failed. */
export function findLeftovers({ channels, bridgeIds, appChannelIds }: Holdings, owned: Owned): Leftovers {
  const isMedia = ({ id }: AriChannel) => isOwn(id, 'pcm') || isOwn(id, 'pct');
  return {
    bridgeIds: bridgeIds.filter((id) => isOwn(id, 'pcb') && !owned.bridges.has(id)),
    mediaChannelIds: channels
      .filter((channel) => isMedia(channel) && !owned.media.has(channel.id))
      .map(({ id }) => id),
    waiting: channels.filter(
      (channel) =>
        appChannelIds.has(channel.id) &&
        channel.dialplan.app_name === 'Stasis' &&
        !isMedia(channel) &&
        !owned.callers.has(channel.id),
    ),
  };
}
