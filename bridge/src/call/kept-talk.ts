import type { AriChannel } from '../ari/model.ts';
import { parseOwnId } from './asterisk-ids.ts';
import { providerName } from './info.ts';

/** A second leg that talks to the caller since a process before. */
export interface KeptLeg {
  readonly channelId: string;
  /** Whose trunk it is on. */
  readonly provider: string;
  /** Who was called, as far as the channel shows it. */
  readonly number: string;
  /** Whether it is in the caller's mixing bridge. */
  readonly isJoined: boolean;
}

/** A caller whom a process before has handed over to a second leg. Where that has hung up since, so that only the end is left, there is no leg. */
export interface KeptTalk {
  readonly leg: KeptLeg | undefined;
  readonly bridgeId: string | undefined;
  /** What that process called the call's things in Asterisk; where nothing is left of them, they get new names. */
  readonly ids: { readonly instance: string; readonly number: number } | undefined;
}

/** A talk that is to go on. */
export function keptTalk(leg: AriChannel, bridgeId: string, isJoined: boolean): KeptTalk {
  const { instance = '', number = '' } = parseOwnId(leg.id) ?? {};
  return {
    leg: {
      channelId: leg.id,
      provider: providerName(leg) ?? '',
      isJoined,
      number: leg.caller.number,
    },
    bridgeId,
    ids: { instance, number: Number.parseInt(number, 10) },
  };
}

/** A talk that ended while no process watched it. */
export const TALK_IS_OVER: KeptTalk = { leg: undefined, bridgeId: undefined, ids: undefined };
