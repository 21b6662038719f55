import type { AriClient } from '../ari/client.ts';
import type { AriChannel, ChannelEvent } from '../ari/model.ts';
import { adoptedTalk, TALK_IS_OVER } from '../call/adopted-talk.ts';
import type { Call } from '../call/call.ts';
import type { Transfer } from '../call/transfer.ts';
import type { Logger } from '../log.ts';
import { CAUSE } from '../q850/causes.ts';
import type { CallRecord } from '../records/record.ts';
import type { CallReports } from '../reports/reports.ts';
import { type AdoptableCalls, asAdopted } from './adoption.ts';
import type { AsteriskPorts } from './asterisk-ports.ts';
import type { Background } from './background.ts';
import type { Beliefs, BelievedCall } from './beliefs.ts';
import { readHoldings } from './holdings.ts';
import { isForgotten, wishedId } from './originated.ts';
import type { OthersDials } from './others-dials.ts';
import type { PendingReleases } from './pending-releases.ts';
import type { Predecessors } from './predecessors.ts';
import { type Action, reconcile } from './reconciliation.ts';

/** What a comparison reads, and what it calls for the differences it finds. */
export interface ComparisonContext {
  readonly ari: AriClient;
  /**
   * Marks the present. The returned function resolves when all events have arrived that Asterisk
   * had sent before it was called.
   */
  readonly caughtUp: () => () => Promise<void>;
  readonly predecessors: Pick<Predecessors, 'without'>;
  readonly log: Logger;
  readonly reports: CallReports;
  readonly background: Background;
  readonly asteriskPorts: AsteriskPorts;
  readonly pendingReleases: PendingReleases;
  readonly adoptable: AdoptableCalls;
  readonly others: OthersDials;
  /** By the caller's channel. */
  readonly calls: ReadonlyMap<string, Call>;
  /** Channels that will become calls: being created, or with variables being read. */
  readonly coming: () => Iterable<string>;
  readonly stasisStart: (channel: AriChannel, args: readonly string[]) => void;
  readonly rings: (channel: AriChannel) => void;
  /** An external client's dial was found. */
  readonly dialFound: (channel: AriChannel) => void;
  /** A leg was found that Asterisk dials because a callee's side forwarded a call (SIP 3xx). */
  readonly forwarded: (leg: AriChannel) => void;
}

interface CallAtRead {
  readonly call: Call;
  readonly transfer: Transfer | undefined;
  readonly mediaId: string;
}

/** Reads of Asterisk's state per comparison. Channels that changed during one are read again. */
const LOOKS_MAX = 3;

/** Events about facts that a comparison may find too. */
const TELLING: ReadonlySet<ChannelEvent['type']> = new Set<ChannelEvent['type']>([
  'StasisStart',
  'StasisEnd',
  'ChannelStateChange',
  'Dial',
  'ChannelHangupRequest',
  'ChannelDestroyed',
]);

/**
 * Compares Asterisk's state with ours and acts on every difference. One comparison runs at a time.
 * Two differences are not real: an event is still on its way, or a channel has changed since
 * Asterisk was read. So it waits until the events have caught up, and skips channels with an event
 * since the read. All other differences come from lost events.
 */
export class Comparison {
  readonly #context: ComparisonContext;
  #running: Promise<unknown> = Promise.resolve();
  /** The next comparison, not begun yet. */
  #next: Promise<void> | undefined;
  #startedAt = '';
  /** Channels with events since Asterisk was read. Undefined: no comparison is running. */
  #toldMeanwhile: Set<string> | undefined;

  constructor(context: ComparisonContext) {
    this.#context = context;
  }

  /**
   * Calls of the previous process. A call that has already begun here gets its record. A comparison
   * decides about the others.
   */
  adopt(records: readonly CallRecord[]): void {
    this.#context.adoptable.add(records);
    for (const { channelId } of records) this.#recall(channelId);
  }

  /** Rejects if Asterisk does not answer, or if its events do not arrive. */
  async run(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#compare();
    });
    const next = this.#next;
    this.#running = next.catch(() => {});
    await next;
  }

  /** An event about a channel has arrived. */
  heard(channelId: string, type: ChannelEvent['type']): void {
    if (TELLING.has(type)) this.#toldMeanwhile?.add(channelId);
  }

  async #compare(): Promise<void> {
    let only: ReadonlySet<string> | undefined;
    for (let look = 1; look <= LOOKS_MAX; look++) {
      const changed = await this.#look(only).finally(() => {
        this.#toldMeanwhile = undefined;
      });
      if (changed.size === 0) return;
      only = changed;
    }
  }

  /**
   * Acts on differences, if `only` is given on those of its channels. Returns the channels that
   * changed meanwhile.
   */
  async #look(only: ReadonlySet<string> | undefined): Promise<ReadonlySet<string>> {
    const { ari, calls, pendingReleases, adoptable } = this.#context;
    // Calls can begin and end while Asterisk is read: the list is as of before.
    const before = new Map(
      [...calls].map(([id, call]) => [
        id,
        { call, transfer: call.latestTransfer, mediaId: call.path.mediaChannelId },
      ]),
    );
    const known = { calls: [...calls.values()].map(believed), dials: this.#dials() };
    const releases = pendingReleases.believed;
    const owned = this.#owned();
    const callObjects = this.#callObjects();
    const caughtUp = this.#context.caughtUp();
    const heard = new Set<string>();
    this.#toldMeanwhile = heard;
    const all = await readHoldings(ari, [...owned, ...callObjects, ...releases.keys()]);
    const full = this.#context.asteriskPorts.count(all.channels.map(({ name }) => name));
    if (full !== undefined) this.#context.log.warn(full);
    await caughtUp();
    const ours = new Set([
      ...owned,
      ...callObjects,
      ...this.#owned(),
      ...this.#callObjects(),
      ...releases.keys(),
    ]);
    const holdings = this.#context.predecessors.without(all, (id) => ours.has(id));
    // A caller who came back must not be released.
    const coming = new Set(this.#context.coming());
    const beliefs: Beliefs = {
      ...known,
      pendingReleases: new Map([...releases].filter(([id]) => !coming.has(id))),
      lateDials: this.#dials().filter(({ channelId }) => !owned.has(channelId)),
      adoptable: adoptable.all,
      owned: new Set([...owned, ...this.#owned(), ...pendingReleases.believed.keys()]),
      callObjects: new Set([...callObjects, ...this.#callObjects()]),
      startedAt: this.#startedAt,
    };
    this.#startedAt = holdings.startedAt || this.#startedAt;
    const found = reconcile(beliefs, holdings)
      .map((action) => ({ action, about: channelsOf(action, before) }))
      .filter(({ about }) => only === undefined || about.some((id) => only.has(id)));
    const told = found.filter(({ about }) => about.some((id) => heard.has(id)));
    const actions = found.filter((difference) => !told.includes(difference)).map(({ action }) => action);
    this.#logFound(actions);
    for (const action of actions) this.#act(action, before);
    return new Set(told.flatMap(({ about }) => about));
  }

  #dials() {
    return [...this.#context.others.all.values()].map((dial) => ({
      channelId: dial.channel.id,
      isInStasis: dial.args !== undefined,
      isRinging: dial.ringing,
      isForgotten: isForgotten(dial),
      callId: wishedId(dial),
      createdAtMs: Date.parse(dial.channel.creationtime ?? ''),
    }));
  }

  #owned(): Set<string> {
    const { calls, others, coming } = this.#context;
    return new Set([...calls.keys(), ...others.all.keys(), ...coming()]);
  }

  #callObjects(): Set<string> {
    const { calls, adoptable } = this.#context;
    const coming = new Set(this.#context.coming());
    const talks = [...adoptable.talks].filter(([callerId]) => coming.has(callerId));
    return new Set([
      ...talks.flatMap(([, { leg, bridgeId }]) => [leg?.channelId ?? '', bridgeId ?? '']),
      ...[...calls.values()].flatMap(({ path, latestTransfer }) => [
        path.bridgeId,
        path.mediaChannelId,
        ...(latestTransfer?.legId === undefined ? [] : [latestTransfer.legId]),
      ]),
    ]);
  }

  #logFound(actions: readonly Action[]): void {
    const count = (...types: Action['type'][]) => actions.filter(({ type }) => types.includes(type)).length;
    const adopted = count('offer', 'adopt-talk');
    const media = actions.filter((action) => action.type === 'hang-up' && action.why === 'orphan').length;
    const unreadable = actions.filter(
      (action) => action.type === 'hang-up' && action.why === 'unreadable',
    ).length;
    const bridges = count('destroy-bridge');
    const { log } = this.#context;
    if (bridges + media + adopted > 0)
      log.warn({ bridges, media, adopted }, 'objects of a previous process: removed or adopted');
    if (unreadable > 0) log.error({ unreadable }, 'channels that Asterisk cannot show are hung up');
    const missed = actions.filter(({ type }) => MISSED.has(type)).map(({ type }) => type);
    if (missed.length > 0) log.warn({ missed }, 'events were lost: what they ask for is done now');
  }

  #act(action: Action, before: ReadonlyMap<string, CallAtRead>): void {
    const { others, pendingReleases, adoptable, reports, stasisStart } = this.#context;
    switch (action.type) {
      case 'adopt-talk':
      case 'end-talk':
      case 'offer': {
        if (pendingReleases.has(action.channel.id)) return;
        if (action.type === 'adopt-talk') {
          const { channel, leg, bridgeId, isJoined } = action;
          adoptable.setTalk(channel.id, adoptedTalk(leg, bridgeId, isJoined));
        } else if (action.type === 'end-talk') adoptable.setTalk(action.channel.id, TALK_IS_OVER);
        else adoptable.setTalk(action.channel.id, undefined);
        // A created and dialled channel had its own app arguments when it entered Stasis before.
        const args = others.all.get(action.channel.id)?.args ?? action.args;
        return stasisStart(action.channel, args);
      }
      case 'other-dial-gone':
        return others.lost(action.channelId, action.isForwarded);
      case 'other-dial-rings':
        return this.#context.rings(action.channel);
      case 'other-dial-found':
        return this.#context.dialFound(action.channel);
      case 'refuse-forward':
        return this.#context.forwarded(action.channel);
      case 'repeat-release':
        return this.#inBackground(pendingReleases.repeat(action.channelId), 'leave a channel');
      case 'count-release':
        return pendingReleases.count(action.channelId);
      case 'forget-release':
        return pendingReleases.forget(action.channelId);
      case 'hang-up':
        return this.#inBackground(
          this.#context.ari.hangUp(action.channelId, CAUSE.normalClearing),
          'remove a channel',
        );
      case 'destroy-bridge':
        return this.#inBackground(this.#context.ari.destroyBridge(action.bridgeId), 'remove a bridge');
      case 'adoptable-rings':
        return void others.began(action.channel);
      case 'adoptable-moved':
        return adoptable.move(action.record, action.channelId);
      case 'adoptable-lives':
        return this.#recall(action.record.channelId);
      case 'adoptable-died':
        pendingReleases.remember(action.record.channelId, { cause: CAUSE.normalClearing, isDone: true });
        return adoptable.remove(action.record) ? reports.died(action.record) : undefined;
      default:
        return this.#actOnCall(action, before);
    }
  }

  #actOnCall(action: CallAction, before: ReadonlyMap<string, CallAtRead>): void {
    const channelId = 'channel' in action ? action.channel.id : action.channelId;
    const known = before.get(channelId);
    if (known === undefined) return;
    const { call, transfer, mediaId } = known;
    // The call has ended since, or its caller has another channel.
    if (this.#context.calls.get(channelId) !== call || call.isEnding) return;
    switch (action.type) {
      case 'caller-gone':
        return action.isAsteriskLost
          ? call.callerHungUp(undefined, undefined, { kind: 'asterisk-lost' })
          : call.callerHungUp(lostCause(call));
      case 'caller-left':
        // A transfer that began since may have sent the caller to the dialplan.
        return call.latestTransfer === transfer ? call.callerLeftStasis() : undefined;
      case 'rejoin':
        return call.latestTransfer === transfer ? call.caller.rejoin() : undefined;
      case 'caller-returned':
        return call.latestTransfer === transfer ? transfer?.callerReturned(action.args) : undefined;
      case 'dial-entered':
        return call.pendingDial?.entered();
      case 'dial-rings':
        return this.#context.rings(action.channel);
      case 'dial-answered':
        return call.pendingDial?.answered();
      case 'leg-entered':
      case 'leg-answered':
        return call.latestTransfer?.legId === action.leg.id
          ? call.latestTransfer.legIs(action.leg.state)
          : undefined;
      case 'leg-gone':
        return call.latestTransfer?.legId === action.legId ? call.latestTransfer.legLost() : undefined;
      case 'media-entered':
        return call.path.mediaChannelId === mediaId ? call.path.mediaEntered() : undefined;
      case 'media-gone':
        return call.path.mediaChannelId === mediaId ? call.mediaGone() : undefined;
    }
  }

  /** Gives a call or dial its previous record, if it began before that was read. */
  #recall(channelId: string): void {
    const { calls, adoptable, others } = this.#context;
    others.recall(channelId);
    const call = calls.get(channelId);
    const record = call && adoptable.take(channelId);
    if (call !== undefined && record !== undefined) call.foundRecord(asAdopted(call.info, record));
  }

  #inBackground(work: Promise<unknown>, what: string): void {
    this.#context.background.run(work, what);
  }
}

type CallAction = Extract<
  Action,
  { readonly type: `caller-${string}` | `dial-${string}` | `leg-${string}` | `media-${string}` | 'rejoin' }
>;

/** Differences that only lost events can cause. */
const MISSED: ReadonlySet<Action['type']> = new Set<Action['type']>([
  'caller-gone',
  'caller-left',
  'caller-returned',
  'rejoin',
  'leg-gone',
  'dial-answered',
  'media-gone',
  'other-dial-gone',
]);

/** The channels that an action concerns. */
function channelsOf(action: Action, before: ReadonlyMap<string, CallAtRead>): string[] {
  if (action.type === 'destroy-bridge') return [];
  if (action.type === 'adoptable-moved') return [action.record.channelId, action.channelId];
  if ('record' in action) return [action.record.channelId];
  const id = 'channel' in action ? action.channel.id : action.channelId;
  if ('leg' in action) return [id, action.leg.id];
  if ('legId' in action) return [id, action.legId];
  const isOfMedia = action.type === 'media-entered' || action.type === 'media-gone';
  return isOfMedia ? [id, before.get(id)?.mediaId ?? id] : [id];
}

/**
 * Cause for a call whose end was not reported. For an unanswered callee it is 127 (interworking),
 * because the real cause is unknown. Undefined if the ring time was over, or after the answer.
 */
function lostCause({ pendingDial: dial }: Call): number | undefined {
  return dial === undefined || dial.isOverdue ? undefined : CAUSE.interworking;
}

function believed(call: Call): BelievedCall {
  const { pendingDial: dial, latestTransfer: transfer, path } = call;
  const { ms: stepsMs } = call.steps;
  return {
    channelId: call.caller.id,
    isInbound: call.info.direction === 'inbound',
    isEnding: call.isEnding,
    dial: dial && (dial.hasEntered ? 'ringing' : 'making'),
    away: transfer?.callerAway ? transfer.token : undefined,
    isInTransfer: transfer?.status === 'pending',
    leg: transfer?.knownLegId,
    bridgeId: path.bridgeId,
    mediaId: path.mediaChannelId,
    media: stepsMs.transferred !== undefined ? 'gone' : path.hasEntered ? 'entered' : 'making',
    isJoined: stepsMs.joined !== undefined,
  };
}
