import type { AriChannel } from '../ari/model.ts';
import { isOwn, parseOwnId } from '../call/asterisk-ids.ts';
import { DIAL_ID_PREFIX } from '../call/dial.ts';
import { providerName } from '../call/info.ts';
import type { CallRecord } from '../records/record.ts';
import { hasHungUp, isHere, stasisArgs } from './channel-place.ts';
import { forwardedFrom, type LostDial } from './forwarded-leg.ts';
import { findTalks, type Talk, wasHandedOver } from './talks.ts';

/** What Asterisk holds, as it was read. */
export interface Holdings {
  readonly channels: readonly AriChannel[];
  /** Ids of channels that are there, but that Asterisk cannot show. */
  readonly unreadable: readonly string[];
  readonly bridges: readonly { readonly id: string; readonly channels: readonly string[] }[];
  /** Channels that our Stasis app is told of. */
  readonly appChannelIds: ReadonlySet<string>;
  /** When this Asterisk started, in its own words; empty where it does not say. */
  readonly startedAt: string;
}

/** A call as we knew it before Asterisk was asked. */
export interface BelievedCall {
  readonly channelId: string;
  readonly isInbound: boolean;
  /** Its end is decided: it only releases what it has. */
  readonly isEnding: boolean;
  /** We call its channel: until it enters our app, and until it is answered. */
  readonly dial: 'making' | 'ringing' | undefined;
  /** The caller is in the dialplan, where we sent them: what they bring along when they come back, and nothing where they need not. */
  readonly away: string | undefined;
  /** A transfer moves channels in and out of the mixing bridge. */
  readonly isInTransfer: boolean;
  /** The second leg, once its channel is made. */
  readonly leg: string | undefined;
  readonly bridgeId: string;
  readonly mediaId: string;
  /** The media channel: being made, in Stasis, or let go. */
  readonly media: 'making' | 'entered' | 'gone';
  /** The caller was put into the mixing bridge. */
  readonly isJoined: boolean;
}

/** A dial of somebody else's. */
export interface BelievedDial extends LostDial {
  readonly channelId: string;
  /** It waits in our app, undialled or ringing. */
  readonly isInStasis: boolean;
  readonly isRinging: boolean;
  /** Nobody will ever dial it. */
  readonly isForgotten: boolean;
}

/** How a channel that we are done with is left: hung up, or given back to the dialplan. */
export interface BelievedRelease {
  readonly kind: 'hang-up' | 'give-back';
  /** Asterisk has taken our request, or the other side hung up by itself. */
  readonly isDone: boolean;
  /** How many comparisons have seen it: what is done may take Asterisk a moment. */
  readonly seen: number;
}

/** What we know. Calls and dials are those of before the question; one that began since is only known as owned. */
export interface Beliefs {
  readonly calls: readonly BelievedCall[];
  readonly dials: readonly BelievedDial[];
  /** Dials that began since the question. */
  readonly lateDials?: readonly BelievedDial[];
  readonly pendingReleases: ReadonlyMap<string, BelievedRelease>;
  /** Calls of the process before, that nothing has been heard of. */
  readonly adoptable: readonly CallRecord[];
  /** Channels of calls and dials, now or before the question; those that are being made or asked for too. */
  readonly owned: ReadonlySet<string>;
  /** Media channels, second legs and mixing bridges of calls, now or before the question. */
  readonly things: ReadonlySet<string>;
  /** When Asterisk had started, the last time that it was asked; empty where it never was. */
  readonly startedAt: string;
}

/** What is to be done about a difference. `channelId` is the call's own channel. */
export type Action =
  /** The call's channel is gone; with Asterisk itself, where that has started anew. */
  | { readonly type: 'caller-gone'; readonly channelId: string; readonly isAsteriskLost: boolean }
  | { readonly type: 'caller-left'; readonly channelId: string }
  | { readonly type: 'caller-returned'; readonly channelId: string; readonly args: readonly string[] }
  | { readonly type: 'rejoin'; readonly channelId: string }
  | { readonly type: 'dial-entered' | 'dial-rings' | 'dial-answered'; readonly channel: AriChannel }
  | { readonly type: 'leg-entered' | 'leg-answered'; readonly channelId: string; readonly leg: AriChannel }
  | { readonly type: 'leg-gone'; readonly channelId: string; readonly legId: string }
  | { readonly type: 'media-entered' | 'media-gone'; readonly channelId: string }
  | {
      readonly type: 'other-dial-gone';
      readonly channelId: string;
      readonly isAsteriskLost: boolean;
      readonly isForwarded: boolean;
    }
  | { readonly type: 'other-dial-rings'; readonly channel: AriChannel }
  /** Somebody waits in our app whom nobody serves. */
  | { readonly type: 'offer'; readonly channel: AriChannel; readonly args: readonly string[] }
  /** Two talk since a process before: nobody parts them. */
  | ({ readonly type: 'keep-talk'; readonly channel: AriChannel; readonly args: readonly string[] } & Pick<
      Talk,
      'leg' | 'bridgeId' | 'isJoined'
    >)
  /** A caller whom a process before had handed over: the other has hung up since. */
  | { readonly type: 'end-talk'; readonly channel: AriChannel; readonly args: readonly string[] }
  /** Asterisk dials somebody, or has, since the callee's side of a lost dial forwarded it. */
  | { readonly type: 'refuse-forward'; readonly channel: AriChannel }
  | { readonly type: 'repeat-release' | 'forget-release' | 'count-release'; readonly channelId: string }
  | { readonly type: 'hang-up'; readonly channelId: string; readonly why: HangUpReason }
  | { readonly type: 'destroy-bridge'; readonly bridgeId: string }
  | { readonly type: 'adoptable-rings'; readonly channel: AriChannel }
  /** Another channel has taken the caller's place (RFC 3891). */
  | { readonly type: 'adoptable-moved'; readonly record: CallRecord; readonly channelId: string }
  /** A call that was taken before its record was known. */
  | { readonly type: 'adoptable-lives'; readonly record: CallRecord }
  | { readonly type: 'adoptable-died'; readonly record: CallRecord };

/** Why a channel is hung up that has no call. */
export type HangUpReason = 'left-over' | 'never-dialled' | 'unreadable';

/** Context of the dialplan that asks a caller's network to take them (REFER). */
export const REFER_CONTEXT = 'transfer';

/** App argument of a caller who comes back from the dialplan's `transfer` context. */
export const REFER_RESULT = 'refer-result';

/**
 * Compares what we believe with what Asterisk holds, and says what lost events would have said: of each call, each dial, each channel
 * that we are done with, and of what nobody owns. What is told twice does no harm: an action says how things are, not what changed.
 */
export function reconcile(beliefs: Beliefs, holdings: Holdings): Action[] {
  const present = new Map(holdings.channels.map((channel) => [channel.id, channel]));
  const seen: Seen = {
    present,
    exists: new Set([...present.keys(), ...holdings.unreadable]),
    members: new Map(holdings.bridges.map(({ id, channels }) => [id, new Set(channels)])),
    isAsteriskLost: isOtherStart(beliefs.startedAt, holdings.startedAt),
  };
  const forwards = forwardedLegs(beliefs, holdings, seen);
  const moved = beliefs.adoptable.flatMap((record) => ofReplaced(record, beliefs, holdings, seen));
  const isMoved = new Set(moved.map(({ record }) => record));
  return [
    ...moved,
    ...beliefs.calls.flatMap((call) => ofCall(call, seen)),
    ...beliefs.dials.flatMap((dial) => ofDial(dial, seen, forwards)),
    ...[...beliefs.pendingReleases].flatMap(([id, release]) => ofRelease(id, release, seen)),
    ...ofNobody(beliefs, holdings, forwards, new Map(moved.map((one) => [one.channelId, one.record]))),
    ...beliefs.adoptable
      .filter((record) => !isMoved.has(record))
      .flatMap((record) => ofAdoptable(record, beliefs, holdings, seen)),
  ];
}

/** Whether Asterisk has started anew, as far as it says when it has. */
function isOtherStart(before: string, now: string): boolean {
  return before !== '' && now !== '' && now !== before;
}

interface Seen {
  readonly present: ReadonlyMap<string, AriChannel>;
  /** Those that cannot be shown included. */
  readonly exists: ReadonlySet<string>;
  readonly members: ReadonlyMap<string, ReadonlySet<string>>;
  readonly isAsteriskLost: boolean;
}

function ofCall(call: BelievedCall, seen: Seen): Action[] {
  if (call.isEnding) return [];
  const { channelId } = call;
  // What cannot be shown has a hang-up of its own coming (see ofNobody).
  if (!seen.exists.has(channelId)) {
    return [{ type: 'caller-gone', channelId, isAsteriskLost: seen.isAsteriskLost }];
  }
  const channel = seen.present.get(channelId);
  if (channel === undefined) return [];
  if (hasHungUp(channel)) return [{ type: 'caller-gone', channelId, isAsteriskLost: false }];
  return [...ofCaller(call, channel, seen), ...ofLeg(call, seen), ...ofMedia(call, seen)];
}

function ofCaller(call: BelievedCall, channel: AriChannel, seen: Seen): Action[] {
  const { channelId, away } = call;
  if (call.dial !== undefined) return ofOwnDial(call.dial, channel);
  if (away !== undefined) {
    const [first, ...args] = stasisArgs(channel) ?? [];
    // Of an earlier return the channel still says so, until it has left our app again.
    const isThisOne = args[2] === away || (args[2] === undefined && away !== '');
    return first === REFER_RESULT && isThisOne ? [{ type: 'caller-returned', channelId, args }] : [];
  }
  const { app_name } = channel.dialplan;
  // A dialled channel runs no application in the dialplan that could be seen.
  if (call.isInbound && app_name !== '' && app_name !== 'Stasis' && channel.state === 'Up') {
    return [{ type: 'caller-left', channelId }];
  }
  const members = seen.members.get(call.bridgeId);
  const isOut = call.isJoined && !call.isInTransfer && members !== undefined && !members.has(channelId);
  return isOut ? [{ type: 'rejoin', channelId }] : [];
}

function ofOwnDial(dial: 'making' | 'ringing', channel: AriChannel): Action[] {
  const entered: Action[] = dial === 'making' && isHere(channel) ? [{ type: 'dial-entered', channel }] : [];
  if (channel.state === 'Up') return [...entered, { type: 'dial-answered', channel }];
  return channel.state === 'Ringing' ? [...entered, { type: 'dial-rings', channel }] : entered;
}

function ofLeg({ channelId, leg: legId }: BelievedCall, seen: Seen): Action[] {
  if (legId === undefined) return [];
  if (!seen.exists.has(legId)) return [{ type: 'leg-gone', channelId, legId }];
  const leg = seen.present.get(legId);
  if (leg === undefined) return [];
  return [{ type: leg.state === 'Up' ? 'leg-answered' : 'leg-entered', channelId, leg }];
}

function ofMedia({ channelId, media, mediaId }: BelievedCall, seen: Seen): Action[] {
  const channel = seen.present.get(mediaId);
  if (media === 'entered' && !seen.exists.has(mediaId)) return [{ type: 'media-gone', channelId }];
  return media === 'making' && channel !== undefined && isHere(channel)
    ? [{ type: 'media-entered', channelId }]
    : [];
}

function ofDial(
  { channelId, isInStasis, isRinging, isForgotten }: BelievedDial,
  seen: Seen,
  forwards: ReadonlyMap<string, string>,
): Action[] {
  if (!seen.exists.has(channelId)) {
    const isForwarded = [...forwards.values()].includes(channelId);
    return [{ type: 'other-dial-gone', channelId, isAsteriskLost: seen.isAsteriskLost, isForwarded }];
  }
  const channel = seen.present.get(channelId);
  if (channel === undefined) return [];
  if (channel.state === 'Up') {
    const args = stasisArgs(channel);
    // Early media is no answer: it comes without one. Nor is it ours yet, before it is in our app.
    return args !== undefined || isInStasis ? [{ type: 'offer', channel, args: args ?? [] }] : [];
  }
  if (isForgotten) return [{ type: 'hang-up', channelId, why: 'never-dialled' }];
  return channel.state === 'Ringing' && !isRinging ? [{ type: 'other-dial-rings', channel }] : [];
}

function ofRelease(channelId: string, { kind, isDone, seen: times }: BelievedRelease, seen: Seen): Action[] {
  const channel = seen.present.get(channelId);
  // It is kept for one comparison more: what was told late of it is no news of a new channel.
  if (!seen.exists.has(channelId)) {
    return [{ type: times > 0 ? 'forget-release' : 'count-release', channelId }];
  }
  if (channel === undefined) return [];
  const isOurs = isHere(channel);
  if (kind === 'hang-up') {
    // One that is elsewhere in the dialplan went there by itself, unless it is our hang-up that failed.
    return [{ type: isOurs || !isDone ? 'repeat-release' : 'forget-release', channelId }];
  }
  if (!isOurs) return [{ type: 'forget-release', channelId }];
  return [{ type: isDone && times === 0 ? 'count-release' : 'repeat-release', channelId }];
}

/**
 * Dials of others that are gone without a word, those of the process before among them. One that began since the question may only
 * not have been there yet.
 */
function lostDials(
  { dials, lateDials = [], adoptable }: Beliefs,
  { exists, isAsteriskLost }: Seen,
): (LostDial & { readonly channelId: string })[] {
  // With Asterisk itself a leg that it dials is gone too.
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

/** Legs that Asterisk dials, or has, since a dial was forwarded; each with the channel of that dial. */
function forwardedLegs(beliefs: Beliefs, holdings: Holdings, seen: Seen): Map<string, string> {
  const lost = lostDials(beliefs, seen);
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

function ofNobody(
  { owned, things, pendingReleases, lateDials = [], adoptable }: Beliefs,
  holdings: Holdings,
  forwards: ReadonlyMap<string, string>,
  moved: ReadonlyMap<string, CallRecord>,
): Action[] {
  const { channels, bridges, unreadable, appChannelIds } = holdings;
  const actions: Action[] = unreadable.map((channelId) => ({
    type: 'hang-up',
    channelId,
    why: 'unreadable',
  }));
  const isTaken = (id: string) => owned.has(id) || things.has(id) || pendingReleases.has(id);
  const talks = findTalks(holdings, isTaken);
  const talking = new Set(talks.flatMap(({ leg, bridgeId }) => [leg.id, bridgeId]));
  for (const channel of channels) {
    const { id } = channel;
    if (isOwn(id, 'pcm') || isOwn(id, 'pct')) {
      if (!things.has(id) && !talking.has(id))
        actions.push({ type: 'hang-up', channelId: id, why: 'left-over' });
      continue;
    }
    if (owned.has(id) || pendingReleases.has(id) || !appChannelIds.has(id)) continue;
    const args = stasisArgs(channel);
    const from = forwards.get(id);
    // The next comparison knows more of a dial that began since this one's question.
    if (lateDials.some(({ channelId }) => channelId === from)) continue;
    const talk = talks.find(({ caller }) => caller === channel);
    const before = moved.get(id) ?? adoptable.find(({ channelId }) => channelId === id);
    if (talk !== undefined) actions.push({ ...talk, type: 'keep-talk', channel, args: args ?? [] });
    else if (from !== undefined) actions.push({ type: 'refuse-forward', channel });
    else if (args !== undefined && wasHandedOver(before, id, bridges))
      actions.push({ type: 'end-talk', channel, args });
    else if (args !== undefined) actions.push({ type: 'offer', channel, args });
  }
  for (const { id } of bridges) {
    if (isOwn(id, 'pcb') && !things.has(id) && !talking.has(id))
      actions.push({ type: 'destroy-bridge', bridgeId: id });
  }
  return actions;
}

/** A caller whose place another channel of their provider has taken: its mixing bridge bears the name of the first one. */
function ofReplaced(
  record: CallRecord,
  { owned }: Beliefs,
  { bridges, channels, appChannelIds }: Holdings,
  seen: Seen,
) {
  if (record.state !== 'active' || owned.has(record.channelId) || seen.exists.has(record.channelId))
    return [];
  const members = bridges
    .filter(({ id }) => isOwn(id, 'pcb') && parseOwnId(id)?.callerId === record.channelId)
    .flatMap(({ channels: ids }) => ids);
  const caller = channels.find(
    (channel) =>
      members.includes(channel.id) &&
      appChannelIds.has(channel.id) &&
      stasisArgs(channel) !== undefined &&
      providerName(channel) === record.provider &&
      !isOwn(channel.id, 'pct') &&
      !owned.has(channel.id),
  );
  return caller === undefined ? [] : [{ type: 'adoptable-moved' as const, record, channelId: caller.id }];
}

function ofAdoptable(
  record: CallRecord,
  { owned }: Beliefs,
  { appChannelIds }: Holdings,
  seen: Seen,
): Action[] {
  const { channelId, state } = record;
  if (owned.has(channelId)) return [{ type: 'adoptable-lives', record }];
  const channel = seen.present.get(channelId);
  const isDial = state === 'dialling' || state === 'ringing';
  if (channel === undefined || hasHungUp(channel)) return [{ type: 'adoptable-died', record }];
  // The caller's network is being asked to take them (REFER): they come back to us, whatever it says.
  if (channel.dialplan.context === REFER_CONTEXT) return [];
  // It is offered, and takes its record.
  if (appChannelIds.has(channelId) && stasisArgs(channel) !== undefined) return [];
  if (isDial && channel.state !== 'Up') return [{ type: 'adoptable-rings', channel }];
  return [{ type: 'adoptable-died', record }];
}
