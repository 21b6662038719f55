import type { AriChannel } from '../ari/model.ts';
import { isOwn, parseOwnId } from '../call/asterisk-ids.ts';
import { DIAL_ID_PREFIX } from '../call/dial.ts';
import { isTelephone, providerName } from '../call/info.ts';
import type { CallRecord } from '../records/record.ts';
import type { Beliefs, BelievedCall, BelievedDial, BelievedRelease } from './beliefs.ts';
import { hasHungUp, isAtStart, isHere, stasisArgs } from './channel-place.ts';
import { forwardedLegs } from './forwarded-leg.ts';
import type { Holdings } from './holdings.ts';
import { findTalks, type Talk, talkedToLeg } from './talks.ts';

/** What to do about a difference. `channelId` is the call's own channel. */
export type Action =
  /** The call's channel is gone, perhaps because Asterisk restarted. */
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
  /** An external client's dial that no event has told of: a predecessor had those events. */
  | { readonly type: 'other-dial-found'; readonly channel: AriChannel }
  /** A channel waits in our app without a call. */
  | { readonly type: 'offer'; readonly channel: AriChannel; readonly args: readonly string[] }
  /** A bridged transfer of a previous process: the conversation goes on. */
  | ({ readonly type: 'adopt-talk'; readonly channel: AriChannel; readonly args: readonly string[] } & Pick<
      Talk,
      'leg' | 'bridgeId' | 'isJoined'
    >)
  /** A caller of such a transfer, whose second leg has hung up since. */
  | { readonly type: 'end-talk'; readonly channel: AriChannel; readonly args: readonly string[] }
  /** A leg that Asterisk dialled because the callee's side of a lost dial forwarded it. */
  | { readonly type: 'refuse-forward'; readonly channel: AriChannel }
  | { readonly type: 'repeat-release' | 'forget-release' | 'count-release'; readonly channelId: string }
  | { readonly type: 'hang-up'; readonly channelId: string; readonly why: HangUpReason }
  | { readonly type: 'destroy-bridge'; readonly bridgeId: string }
  | { readonly type: 'adoptable-rings'; readonly channel: AriChannel }
  /** Another channel has replaced the caller's (RFC 3891). */
  | { readonly type: 'adoptable-moved'; readonly record: CallRecord; readonly channelId: string }
  /** A call that began here before its record was read. */
  | { readonly type: 'adoptable-lives'; readonly record: CallRecord }
  | { readonly type: 'adoptable-died'; readonly record: CallRecord };

/** Why a channel without a call is hung up. */
export type HangUpReason = 'orphan' | 'never-dialled' | 'unreadable';

/** Dialplan context that sends a REFER to the caller's network. */
export const REFER_CONTEXT = 'transfer';

/** App argument of a caller who returns from the dialplan's `transfer` context. */
export const REFER_RESULT = 'refer-result';

/**
 * Compares our state with Asterisk's, and returns what lost events would have reported. It covers
 * calls, dials, released channels, and channels and bridges without an owner. An action states a
 * fact, not a change: executing it twice does no harm.
 */
export function reconcile(beliefs: Beliefs, holdings: Holdings): Action[] {
  const present = new Map(holdings.channels.map((channel) => [channel.id, channel]));
  const seen: StateRead = {
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
    ...ofNobody(
      beliefs,
      holdings,
      forwards,
      new Map(moved.map(({ channelId, record }) => [channelId, record])),
    ),
    ...beliefs.adoptable
      .filter((record) => !isMoved.has(record))
      .flatMap((record) => ofAdoptable(record, beliefs, holdings, seen)),
  ];
}

/** Whether Asterisk has restarted, if both start times are known. */
function isOtherStart(before: string, now: string): boolean {
  return before !== '' && now !== '' && now !== before;
}

/** Asterisk's state, by id. */
interface StateRead {
  readonly present: ReadonlyMap<string, AriChannel>;
  /** Includes channels that Asterisk cannot show. */
  readonly exists: ReadonlySet<string>;
  readonly members: ReadonlyMap<string, ReadonlySet<string>>;
  readonly isAsteriskLost: boolean;
}

function ofCall(call: BelievedCall, seen: StateRead): Action[] {
  if (call.isEnding) return [];
  const { channelId } = call;
  // A channel that Asterisk cannot show is hung up elsewhere (see ofNobody).
  if (!seen.exists.has(channelId)) {
    return [{ type: 'caller-gone', channelId, isAsteriskLost: seen.isAsteriskLost }];
  }
  const channel = seen.present.get(channelId);
  if (channel === undefined) return [];
  if (hasHungUp(channel)) return [{ type: 'caller-gone', channelId, isAsteriskLost: false }];
  return [...ofCaller(call, channel, seen), ...ofLeg(call, seen), ...ofMedia(call, seen)];
}

function ofCaller(call: BelievedCall, channel: AriChannel, seen: StateRead): Action[] {
  const { channelId, away } = call;
  if (call.dial !== undefined) return ofOwnDial(call.dial, channel);
  if (away !== undefined) {
    const [first, ...args] = stasisArgs(channel) ?? [];
    // The arguments of an earlier return stay on the channel until it leaves our app again.
    const isThisOne = args[2] === away || (args[2] === undefined && away !== '');
    return first === REFER_RESULT && isThisOne ? [{ type: 'caller-returned', channelId, args }] : [];
  }
  const { app_name } = channel.dialplan;
  // A dialled channel shows no dialplan application.
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

function ofLeg({ channelId, leg: legId }: BelievedCall, seen: StateRead): Action[] {
  if (legId === undefined) return [];
  if (!seen.exists.has(legId)) return [{ type: 'leg-gone', channelId, legId }];
  const leg = seen.present.get(legId);
  if (leg === undefined) return [];
  return [{ type: leg.state === 'Up' ? 'leg-answered' : 'leg-entered', channelId, leg }];
}

function ofMedia({ channelId, media, mediaId }: BelievedCall, seen: StateRead): Action[] {
  const channel = seen.present.get(mediaId);
  if (media === 'entered' && !seen.exists.has(mediaId)) return [{ type: 'media-gone', channelId }];
  return media === 'making' && channel !== undefined && isHere(channel)
    ? [{ type: 'media-entered', channelId }]
    : [];
}

function ofDial(
  { channelId, isInStasis, isRinging, isForgotten }: BelievedDial,
  seen: StateRead,
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
    // A channel is Up only after the answer: early media does not count. It is ours once in our
    // app.
    return args !== undefined || isInStasis ? [{ type: 'offer', channel, args: args ?? [] }] : [];
  }
  if (isForgotten) return [{ type: 'hang-up', channelId, why: 'never-dialled' }];
  return channel.state === 'Ringing' && !isRinging ? [{ type: 'other-dial-rings', channel }] : [];
}

function ofRelease(
  channelId: string,
  { kind, isDone, seen: times }: BelievedRelease,
  seen: StateRead,
): Action[] {
  const channel = seen.present.get(channelId);
  // Kept for one more comparison: late events must not make it a new channel.
  if (!seen.exists.has(channelId)) {
    return [{ type: times > 0 ? 'forget-release' : 'count-release', channelId }];
  }
  if (channel === undefined) return [];
  const isOurs = isHere(channel);
  if (kind === 'hang-up') {
    // Elsewhere in the dialplan: it went there by itself, unless our hang-up failed.
    return [{ type: isOurs || !isDone ? 'repeat-release' : 'forget-release', channelId }];
  }
  if (!isOurs) return [{ type: 'forget-release', channelId }];
  return [{ type: isDone && times === 0 ? 'count-release' : 'repeat-release', channelId }];
}

function ofNobody(
  { owned, callObjects, pendingReleases, lateDials = [], adoptable }: Beliefs,
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
  const isTaken = (id: string) => owned.has(id) || callObjects.has(id) || pendingReleases.has(id);
  const talks = findTalks(holdings, isTaken);
  const talking = new Set(talks.flatMap(({ leg, bridgeId }) => [leg.id, bridgeId]));
  for (const channel of channels) {
    const { id } = channel;
    if (isOwn(id, 'pcm') || isOwn(id, 'pct')) {
      if (!callObjects.has(id) && !talking.has(id))
        actions.push({ type: 'hang-up', channelId: id, why: 'orphan' });
      continue;
    }
    if (owned.has(id) || pendingReleases.has(id) || !appChannelIds.has(id)) continue;
    const args = stasisArgs(channel);
    const from = forwards.get(id);
    // A dial that began since the read: the next comparison knows more.
    if (lateDials.some(({ channelId }) => channelId === from)) continue;
    const talk = talks.find(({ caller }) => caller === channel);
    const before = moved.get(id) ?? adoptable.find(({ channelId }) => channelId === id);
    if (talk !== undefined) actions.push({ ...talk, type: 'adopt-talk', channel, args: args ?? [] });
    else if (from !== undefined) actions.push({ type: 'refuse-forward', channel });
    else if (args !== undefined && talkedToLeg(before, id, bridges))
      actions.push({ type: 'end-talk', channel, args });
    else if (args !== undefined) actions.push({ type: 'offer', channel, args });
    else if (before === undefined && isOthersDial(channel))
      actions.push({ type: 'other-dial-found', channel });
  }
  for (const { id } of bridges) {
    if (isOwn(id, 'pcb') && !callObjects.has(id) && !talking.has(id))
      actions.push({ type: 'destroy-bridge', bridgeId: id });
  }
  return actions;
}

/** Whether a channel of the app, outside Stasis, is an unanswered dial of an external client. */
function isOthersDial(channel: AriChannel): boolean {
  const isUnanswered = channel.state === 'Down' || channel.state === 'Ringing';
  return isUnanswered && isAtStart(channel) && isTelephone(channel) && !channel.id.startsWith(DIAL_ID_PREFIX);
}

/**
 * A caller whose channel was replaced by another one of its provider. Its mixing bridge still has
 * the first channel's id.
 */
function ofReplaced(
  record: CallRecord,
  { owned }: Beliefs,
  { bridges, channels, appChannelIds }: Holdings,
  seen: StateRead,
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
  seen: StateRead,
): Action[] {
  const { channelId, state } = record;
  if (owned.has(channelId)) return [{ type: 'adoptable-lives', record }];
  const channel = seen.present.get(channelId);
  const isDial = state === 'dialling' || state === 'ringing';
  if (channel === undefined || hasHungUp(channel)) return [{ type: 'adoptable-died', record }];
  // The caller's network is processing a REFER: the caller returns to us afterwards.
  if (channel.dialplan.context === REFER_CONTEXT) return [];
  // It will be offered, and gets its record then.
  if (appChannelIds.has(channelId) && stasisArgs(channel) !== undefined) return [];
  if (isDial && channel.state !== 'Up') return [{ type: 'adoptable-rings', channel }];
  return [{ type: 'adoptable-died', record }];
}
