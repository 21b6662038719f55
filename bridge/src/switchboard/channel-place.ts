import type { AriChannel } from '../ari/model.ts';

/**
 * Whether a channel that still exists has hung up: it is at extension `h`. After a REFER Asterisk
 * keeps such a channel until the subscription expires, 10 minutes later.
 */
export function hasHungUp({ dialplan }: AriChannel): boolean {
  return dialplan.exten === 'h';
}

/** Whether a channel is in Stasis, by its dialplan location. */
export function isHere({ dialplan }: AriChannel): boolean {
  return dialplan.app_name === 'Stasis';
}

/**
 * Whether a channel is at the dialplan location of one that Asterisk itself dialled. A channel that
 * a dialplan runs has moved on from it.
 */
export function isAtStart({ dialplan }: AriChannel): boolean {
  return dialplan.exten === 's' && (dialplan.priority ?? 1) === 1;
}

/** The app arguments of a channel in Stasis. Undefined if it is not in Stasis. */
export function stasisArgs(channel: AriChannel): string[] | undefined {
  return isHere(channel) ? channel.dialplan.app_data.split(',').slice(1) : undefined;
}
