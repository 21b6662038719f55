import type { AriChannel, ChannelEvent } from '../ari/model.ts';
import { isOwn, parseOwnId } from '../call/asterisk-ids.ts';
import type { Call } from '../call/call.ts';
import { CallIds } from '../call/call-ids.ts';
import { DIAL_ID_PREFIX } from '../call/dial.ts';
import { isTelephone } from '../call/info.ts';
import { CAUSE } from '../q850/causes.ts';
import type { CallRecord } from '../records/record.ts';
import { Admission } from './admission.ts';
import { AdoptableCalls } from './adoption.ts';
import { Arrivals } from './arrivals.ts';
import type { CallCounts } from './calls-elsewhere.ts';
import { Comparison } from './comparison.ts';
import { Forwards } from './forwards.ts';
import { HandingOver } from './handing-over.ts';
import { LiveCalls } from './live-calls.ts';
import { OthersDials } from './others-dials.ts';
import { PendingReleases } from './pending-releases.ts';
import { REFER_RESULT } from './reconciliation.ts';
import { type ReplacedCallersContext, takePlace } from './replaced-callers.ts';
import { Returns } from './returns.ts';
import { RunningCalls } from './running-calls.ts';
import type { SwitchboardContext } from './switchboard-context.ts';

/** Routes ARI events to calls and dials, and offers calls to new channels. */
export class Switchboard {
  readonly #context: SwitchboardContext;
  readonly running: RunningCalls;
  /** Those running, by the caller's channel. */
  readonly #calls: ReadonlyMap<string, Call>;
  readonly #arrivals: Arrivals;
  /** Assigns call ids. */
  readonly ids = new CallIds((channelId) => this.#isLive(channelId));
  readonly #adoptable = new AdoptableCalls();
  readonly #pendingReleases: PendingReleases;
  readonly #others: OthersDials;
  readonly #forwards: Forwards;
  readonly live: LiveCalls;
  readonly #comparison: Comparison;
  readonly #returns: Returns;
  readonly handingOver: HandingOver;
  readonly admission: Admission;
  readonly #replacing: ReplacedCallersContext;

  constructor(context: SwitchboardContext) {
    this.#context = context;
    this.#pendingReleases = new PendingReleases(context.ari, context.background.overdue);
    const shared = { pendingReleases: this.#pendingReleases, adoptable: this.#adoptable };
    this.#others = new OthersDials({ ...shared, ids: this.ids, reports: context.reports });
    this.handingOver = new HandingOver({ ...context, others: this.#others });
    this.admission = new Admission({
      ...context,
      handingOver: this.handingOver,
      maxCalls: () => context.config.MAX_CALLS,
      calls: () => this.running.count + context.elsewhere.calls,
    });
    this.running = new RunningCalls({
      ...context,
      pendingReleases: this.#pendingReleases,
      admission: this.admission,
      admitLeg: (provider) => this.live.admitLeg(provider),
      ended: async (id) => {
        if (this.#returns.has(id)) await this.#returns.take(id);
      },
    });
    this.#calls = this.running.all;
    this.#replacing = { ...context, running: this.running, pendingReleases: this.#pendingReleases };
    this.#forwards = new Forwards({ ...context, ...shared });
    this.live = new LiveCalls(this.#calls, this.#others.all, context.elsewhere);
    const stasisStart = (channel: AriChannel, args: readonly string[]) => this.#stasisStart(channel, args);
    this.#arrivals = new Arrivals({
      ...context,
      ...shared,
      ids: this.ids,
      others: this.#others,
      admission: this.admission,
      begin: (info, isUp, settings, talk) => this.running.begin(info, isUp, settings, undefined, talk),
      failed: (channelId, detail) => this.#calls.get(channelId)?.end({ kind: 'setup-failed', detail }),
    });
    this.#returns = new Returns({ ...context, ...shared, stasisStart });
    this.#comparison = new Comparison({
      ...context,
      ...shared,
      others: this.#others,
      calls: this.#calls,
      coming: () => [...this.running.placing.keys(), ...this.#arrivals.ids, ...this.#returns.ids],
      stasisStart,
      rings: (channel) => this.#rings(channel),
      dialFound: (channel) => this.#dialFound(channel),
      forwarded: (leg) => this.#forwards.refuse(leg),
    });
  }

  /**
   * Takes the records of the previous process's calls. A call that has already begun here gets its
   * record. The next comparison decides about the others.
   */
  adopt(records: readonly CallRecord[]): void {
    for (const { channelId, callId } of records) this.ids.claim(channelId, callId);
    this.#comparison.adopt(records);
  }

  /** What this process has, for its successor. */
  get counts(): CallCounts {
    const { providers } = this.#context.config;
    const outbound = [...providers.keys()].map((name) => [name, this.live.outbound(name)] as const);
    return {
      calls: this.running.count,
      outbound: Object.fromEntries(outbound.filter(([, count]) => count > 0)),
    };
  }

  /** Whether a channel, or the caller for whom we made it, has a call or dial now. */
  isKnown(channelId: string): boolean {
    return this.#isLive(parseOwnId(channelId)?.callerId ?? channelId);
  }

  #isLive(channelId: string): boolean {
    const lists = [this.#calls, this.#others.all, this.running.placing, this.#arrivals, this.#adoptable];
    return lists.some((list) => list.has(channelId)) || this.live.findByChannel(channelId) !== undefined;
  }

  /**
   * Takes no new call from now on. Calls that nobody has answered end: their callers can be served
   * elsewhere. The others go on.
   */
  drain(): void {
    this.admission.drain();
    this.running.endUnanswered();
  }

  /** Takes no call from now on, not even an adopted one. */
  close(): void {
    this.admission.close();
    this.running.endUnanswered();
  }

  /** Another process took our app: ends our calls here; further events go to that process. */
  letGo(isElsewhere: (channelId: string) => boolean): void {
    this.#arrivals.takeAll();
    for (const [id, call] of this.#calls) if (!isElsewhere(id)) call.end({ kind: 'taken-over' });
    this.#others.letGo();
    for (const waiting of [this.#returns, this.#pendingReleases]) waiting.clear();
  }

  /** Ends the call with this Twilio SID after its queued audio. Returns false if there is none. */
  hangUpForBot(sid: string): boolean {
    const call = this.live.findBySid(sid);
    call?.botHungUp();
    return call !== undefined;
  }

  /** Passes an event to its call or dial. Never waits. */
  dispatch(event: ChannelEvent): void {
    const { id } = event.type === 'Dial' ? event.peer : event.channel;
    this.#comparison.heard(id, event.type);
    if (isOwn(id, 'pct')) return this.#legHappened(id, event);
    switch (event.type) {
      case 'StasisStart':
        return this.#stasisStart(event.channel, event.args, event.replace_channel);
      case 'StasisEnd':
        this.#returns.left(id);
        this.#arrivals.left(id);
        return this.#calls.get(id)?.callerLeftStasis();
      case 'ChannelHold':
      case 'ChannelUnhold':
        return this.#calls.get(event.channel.id)?.held(event.type === 'ChannelHold');
      case 'ChannelHangupRequest':
        return this.#calls.get(id)?.callerHungUp(event.soft ? undefined : event.cause, event.tech_cause);
      case 'ChannelDestroyed':
        return this.#channelDestroyed(event);
      case 'ChannelDtmfReceived':
        return this.#calls.get(event.channel.id)?.dtmfReceived(event);
      case 'Dial':
        return this.#dial(event);
      case 'ChannelStateChange':
        return this.#stateChanged(event.channel);
    }
  }

  #stasisStart(channel: AriChannel, args: readonly string[], replaced?: AriChannel): void {
    const own = this.#mediaCall(channel.id);
    if (own?.state === 'setup' || own?.state === 'active') return own.path.mediaEntered();
    // Also a media channel that was created only after its call had given up and removed it.
    if (isOwn(channel.id, 'pcm')) {
      const removed = this.#context.ari.hangUp(channel.id, CAUSE.normalClearing);
      return this.#context.background.run(removed, 'remove a media channel without a call');
    }
    const owner = this.#context.predecessors.ownerOf(channel.id);
    if (owner !== undefined) {
      const givenBack = this.#context.predecessors.giveBack(channel.id, owner, args);
      return this.#context.background.run(givenBack, 'give a channel back to its process');
    }
    const dial = this.running.placing.get(channel.id) ?? this.#calls.get(channel.id)?.pendingDial;
    if (dial !== undefined) return dial.entered();
    const call = this.#calls.get(channel.id);
    if (call !== undefined) return this.#cameBack(call, channel, args);
    if (replaced !== undefined && takePlace(this.#replacing, channel, replaced.id)) return;
    if (channel.id.startsWith(DIAL_ID_PREFIX) && this.#pendingReleases.has(channel.id))
      return this.#context.background.run(this.#pendingReleases.repeat(channel.id), 'remove a channel');
    if (this.#forwards.has(channel.id)) return this.#forwards.hangUp(channel.id);
    if (this.#arrivals.has(channel.id)) return;
    if (this.#pendingReleases.has(channel.id)) {
      this.#returns.came(channel, args);
      return this.#context.background.run(this.#returns.take(channel.id), 'take a caller who is back');
    }
    if (!isTelephone(channel)) return this.#dismiss(channel, CAUSE.callRejected, 'no telephone line');
    // An inbound channel has the state Ring. A dialled one is Down, then Ringing.
    if (channel.state === 'Down' || channel.state === 'Ringing') return this.#others.entered(channel, args);
    // The call that transferred them is gone: it ended, or is to be adopted.
    if (args[0] === REFER_RESULT && args[1] === 'SUCCESS')
      return this.#context.background.run(
        this.#context.ari.hangUp(channel.id, CAUSE.normalClearing),
        'hang up a caller',
      );
    this.#arrivals.offer(channel, args[0] === REFER_RESULT ? [] : args);
  }

  /** Hangs up a channel that gets no call. */
  #dismiss({ id, name }: AriChannel, cause: number, why: string): void {
    this.#context.log.warn({ channelId: id, name, why }, 'a channel is refused');
    this.#context.background.run(this.#context.ari.hangUp(id, cause), 'turn a channel away');
  }

  /** A caller with a call enters our app again: from a transfer, or while that call is released. */
  #cameBack(call: Call, channel: AriChannel, args: readonly string[]): void {
    const isAway = call.latestTransfer?.callerAway;
    if (isAway && args[0] === REFER_RESULT) return call.latestTransfer?.callerReturned(args.slice(1));
    if (!isAway && !call.isEnding) return;
    this.#returns.came(channel, args);
    // The dialplan sent them back by itself: the call that sent them there is over.
    call.callerHungUp(undefined);
  }

  #legHappened(legId: string, event: ChannelEvent): void {
    const transfer = this.live.findByChannel(parseOwnId(legId)?.callerId ?? '')?.latestTransfer;
    if (transfer?.legId === legId) return transfer.legHappened(event);
    if (event.type !== 'StasisStart') return;
    this.#context.background.run(
      this.#context.ari.hangUp(legId, CAUSE.normalClearing),
      'remove a leg without a call',
    );
  }

  /** The call whose current media channel this is. */
  #mediaCall(id: string): Call | undefined {
    const call = this.live.findByChannel(parseOwnId(id)?.callerId ?? '');
    return call?.path.mediaChannelId === id ? call : undefined;
  }

  #channelDestroyed(event: Extract<ChannelEvent, { type: 'ChannelDestroyed' }>): void {
    const { id } = event.channel;
    this.#returns.left(id);
    this.#arrivals.left(id);
    if (this.#mediaCall(id)?.path.hasEntered) this.#mediaCall(id)?.mediaGone();
    this.#calls.get(id)?.callerHungUp(event.cause, event.tech_cause);
    if (this.#wasWithdrawn(event.channel)) this.#others.began(event.channel);
    this.#others.ended(event.channel, event.cause, event.tech_cause);
  }

  /**
   * Whether an external client originated a channel and hung it up before Asterisk dialled. The
   * channel's end is then its only event.
   */
  #wasWithdrawn({ id, state }: AriChannel): boolean {
    const isOurs = isOwn(id, 'pcm') || id.startsWith(DIAL_ID_PREFIX);
    return state === 'Down' && !isOurs && !this.#calls.has(id) && !this.#isDoneWith(id);
  }

  /**
   * A Dial event of our own dial or an external client's. Only originated channels have them here.
   */
  #dial({ peer, caller, ...event }: Extract<ChannelEvent, { type: 'Dial' }>): void {
    // A dial with a caller comes from the dialplan, for a call that we have returned to it.
    if (caller !== undefined) return;
    const { dialstring, dialstatus, forward, forwarded } = event;
    // The leg of a forward is always refused, however late the event comes.
    if (forward) this.#forwards.refuse(forwarded, peer);
    if (this.running.placing.has(peer.id) || isOwn(peer.id, 'pcm') || this.#isPast(peer.id)) return;
    if (dialstatus === 'RINGING') this.#rings(peer);
    if (this.#calls.has(peer.id)) return;
    this.#others.dialled(peer, dialstring);
    if (forward) this.#others.forwarded(peer);
  }

  #dialFound(channel: AriChannel): void {
    if (this.#isPast(channel.id) || this.#calls.has(channel.id)) return;
    this.#others.began(channel);
    if (channel.state === 'Ringing') this.#others.rings(channel.id);
  }

  /** Whether an event of a channel is late: its dial has ended, or was ours and failed. */
  #isPast(id: string): boolean {
    if (this.#calls.has(id) || this.#others.all.has(id) || this.#adoptable.has(id)) return false;
    return this.#isDoneWith(id) || id.startsWith(DIAL_ID_PREFIX);
  }

  #isDoneWith(id: string): boolean {
    return this.#pendingReleases.has(id) || this.#forwards.has(id);
  }

  #rings(channel: AriChannel): void {
    const call = this.#calls.get(channel.id);
    if (call?.pendingDial?.markRinging()) this.#context.reports.changed(call, 'ringing');
    this.#others.rings(channel.id);
  }

  #stateChanged(channel: AriChannel): void {
    if (channel.state === 'Ringing') return this.#rings(channel);
    if (channel.state !== 'Up') return;
    this.#calls.get(channel.id)?.pendingDial?.answered();
    const args = this.#others.all.get(channel.id)?.args;
    if (args !== undefined && !this.#isDoneWith(channel.id)) this.#arrivals.offer(channel, args);
  }

  /** Compares Asterisk's state with ours, and makes up for lost events. */
  readonly reconcile = (): Promise<void> => this.#comparison.run();
}
