import type { AriChannel } from '../ari/model.ts';

/**
 * Whether a channel that is still there has hung up: the dialplan shows its end. After a REFER Asterisk keeps it until the
 * subscription has run out, 10 minutes.
 */
export function hasHungUp({ dialplan }: AriChannel): boolean {
  return dialplan.exten === 'h';
}

/** Whether a channel is in Stasis, as the dialplan shows it. */
export function isHere({ dialplan }: AriChannel): boolean {
  return dialplan.app_name === 'Stasis';
}

/** The app arguments of a channel in Stasis. */
export function stasisArgs(channel: AriChannel): string[] | undefined {
  return isHere(channel) ? channel.dialplan.app_data.split(',').slice(1) : undefined;
}
