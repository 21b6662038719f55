import type { AriChannel } from '../ari/model.ts';
import { parseOwnId } from './asterisk-ids.ts';
import { providerName } from './info.ts';

/** The second leg of a bridged transfer that a previous process completed. */
export interface AdoptedLeg {
  readonly channelId: string;
  /** The provider of the leg's trunk. */
  readonly provider: string;
  /** The callee's number, as far as the channel shows it. */
  readonly number: string;
  /** Whether it is in the caller's mixing bridge. */
  readonly isJoined: boolean;
}

/**
 * A bridged transfer that a previous process completed. Without a leg if that has hung up since:
 * then only the call's end remains.
 */
export interface AdoptedTalk {
  readonly leg: AdoptedLeg | undefined;
  readonly bridgeId: string | undefined;
  /**
   * The ids that the previous process gave the call's objects in Asterisk. Undefined if none of
   * them is left: the call then gets new ones.
   */
  readonly ids: { readonly instance: string; readonly number: number } | undefined;
}

/** A bridged transfer that continues. */
export function adoptedTalk(leg: AriChannel, bridgeId: string, isJoined: boolean): AdoptedTalk {
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

/** A bridged transfer that ended while no process watched it. */
export const TALK_IS_OVER: AdoptedTalk = { leg: undefined, bridgeId: undefined, ids: undefined };
