import type { AriChannel } from '../src/ari/model.ts';
import type { Beliefs, BelievedCall } from '../src/switchboard/beliefs.ts';
import type { Holdings } from '../src/switchboard/holdings.ts';
import type { Action } from '../src/switchboard/reconciliation.ts';

/**
 * What the tables of the comparison consist of: one call, what it has in Asterisk, and an action in
 * words.
 */
export const BRIDGE = 'pcb-0a1b2c3d-1-7.1';
export const MEDIA = 'pcm-0a1b2c3d-1-7.1~';
export const LEG = 'pct-0a1b2c3d-1.1-7.1~';

export function channel(
  id: string,
  fields: { state?: string; app?: string; data?: string; exten?: string } = {},
): AriChannel {
  const { state = 'Up', app = 'Stasis', data = 'pipecat', exten = 's' } = fields;
  return {
    id,
    name: `PJSIP/pb_fintech-${id}`,
    state,
    protocol_id: '',
    caller: { number: '' },
    connected: { number: '' },
    dialplan: { context: 'from-provider', exten, app_name: app, app_data: data },
  };
}

export const TALKING: BelievedCall = {
  channelId: '7.1',
  isInbound: true,
  isEnding: false,
  dial: undefined,
  away: undefined,
  isInTransfer: false,
  leg: undefined,
  bridgeId: BRIDGE,
  mediaId: MEDIA,
  media: 'entered',
  isJoined: true,
};
export const CALLER = channel('7.1');
export const MEDIA_CHANNEL = channel(MEDIA);

export function beliefs(fields: Partial<Beliefs>): Beliefs {
  const calls = fields.calls ?? [];
  return {
    calls,
    dials: [],
    pendingReleases: new Map(),
    adoptable: [],
    startedAt: 'monday',
    owned: new Set([...calls, ...(fields.dials ?? [])].map(({ channelId }) => channelId)),
    callObjects: new Set([BRIDGE, MEDIA, LEG]),
    ...fields,
  };
}

export function holdings(channels: readonly AriChannel[], fields: Partial<Holdings> = {}): Holdings {
  return {
    channels,
    unreadable: [],
    startedAt: 'monday',
    bridges: [{ id: BRIDGE, channels: channels.map(({ id }) => id) }],
    appChannelIds: new Set(channels.map(({ id }) => id)),
    ...fields,
  };
}

/** An action in words: what, whose, and what more it says. */
export function told(action: Action): string {
  const id = 'channel' in action ? action.channel.id : 'channelId' in action ? action.channelId : '';
  const leg = 'leg' in action ? action.leg.id : 'legId' in action ? action.legId : '';
  const bridge = 'bridgeId' in action ? action.bridgeId : '';
  const args = 'args' in action ? action.args : [];
  const lost = 'isAsteriskLost' in action && action.isAsteriskLost ? 'with Asterisk' : '';
  return [action.type, id, leg, bridge, ...args, lost].filter((word) => word !== '').join(' ');
}
