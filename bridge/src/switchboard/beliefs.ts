import type { CallRecord } from '../records/record.ts';

/** A call as we knew it before Asterisk was read. */
export interface BelievedCall {
  readonly channelId: string;
  readonly isInbound: boolean;
  /** Its end is decided: it is releasing its channels. */
  readonly isEnding: boolean;
  /** An outbound dial of ours: `making` until it enters our app, `ringing` until it is answered. */
  readonly dial: 'making' | 'ringing' | undefined;
  /** Token of the transfer that sent the caller to the dialplan. Empty: they need not return. */
  readonly away: string | undefined;
  /** A transfer is moving channels in and out of the mixing bridge. */
  readonly isInTransfer: boolean;
  /** The second leg, once its channel exists. */
  readonly leg: string | undefined;
  readonly bridgeId: string;
  readonly mediaId: string;
  /** State of the media channel: being created, in Stasis, or released. */
  readonly media: 'making' | 'entered' | 'gone';
  /** The caller has been added to the mixing bridge. */
  readonly isJoined: boolean;
}

/** An external client's dial. */
export interface BelievedDial {
  readonly channelId: string;
  /** The call id, if the client has set one. */
  readonly callId?: string | undefined;
  /** When the channel was created, by Asterisk's clock, Unix time, ms. NaN or absent if unknown. */
  readonly createdAtMs?: number;
  /** It waits in our app, undialled or ringing. */
  readonly isInStasis: boolean;
  readonly isRinging: boolean;
  /** It will never be dialled: its process died. */
  readonly isForgotten: boolean;
}

/** How a channel is released: hung up, or returned to the dialplan. */
export interface BelievedRelease {
  readonly kind: 'hang-up' | 'give-back';
  /** Asterisk has accepted the request, or the other side hung up. */
  readonly isDone: boolean;
  /** Comparisons that have seen it: Asterisk may need time for an accepted request. */
  readonly seen: number;
}

/** What we know. Calls and dials are as of before the read; later ones are in `owned` only. */
export interface Beliefs {
  readonly calls: readonly BelievedCall[];
  readonly dials: readonly BelievedDial[];
  /** Dials that began since Asterisk was read. */
  readonly lateDials?: readonly BelievedDial[];
  readonly pendingReleases: ReadonlyMap<string, BelievedRelease>;
  /** Calls of the previous process that are neither adopted nor ended. */
  readonly adoptable: readonly CallRecord[];
  /** Channels of calls and dials, now or before the read, and of those that are about to begin. */
  readonly owned: ReadonlySet<string>;
  /** Media channels, second legs and mixing bridges of calls, now or before the read. */
  readonly callObjects: ReadonlySet<string>;
  /** Start time of Asterisk at the last read. Empty before the first one. */
  readonly startedAt: string;
}
