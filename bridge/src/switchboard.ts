import type { AriClient } from './ari/client.ts';
import type { AriChannel, ChannelEvent } from './ari/model.ts';
import type { Background } from './background.ts';
import { isOwn, parseOwnId } from './call/asterisk-ids.ts';
import { CallIds } from './call/call-ids.ts';
import { Call, type CallContext } from './call.ts';
import { CALL_VARIABLES, type CallInfo, isTelephone } from './call-info.ts';
import { type CallSettings, callInfo, callSettings } from './call-settings.ts';
import type { Config } from './config.ts';
import { DIAL_ID_PREFIX, type Dial } from './dial.ts';
import { giveBack } from './give-up.ts';
import { asInherited, InheritedCalls } from './inherited.ts';
import { findLeftovers, type Leftovers } from './leftovers.ts';
import type { Logger } from './log.ts';
import type { MediaPool } from './media/pool.ts';
import { isForgotten, type Originated, OriginatedCalls } from './originated.ts';
import { dialOutcome } from './outcome.ts';
import type { CallRecord } from './records/record.ts';
import { type CallReports, recordOf } from './reports.ts';
import { LiveCalls } from './switchboard/live-calls.ts';
import { REFER_RESULT } from './transfer.ts';

/** What the switchboard works with. */
export interface SwitchboardContext {
  /** Of this process, eight hexadecimal digits: in the ids of what it makes in Asterisk. */
  readonly instance: string;
  readonly config: Config;
  readonly ari: AriClient;
  readonly media: MediaPool;
  readonly reports: CallReports;
  readonly background: Background;
  readonly log: Logger;
}

/** A call that we place, once its channel is there. */
export interface PlacedCall {
  readonly info: CallInfo;
  readonly settings: CallSettings;
}

/** Calls and dials: finds the one that an ARI event belongs to, and takes new ones in. */
export class Switchboard {
  readonly #context: SwitchboardContext;
  /** By the caller's channel. */
  readonly #calls = new Map<string, Call>();
  /** Channels whose variables are being read. */
  readonly #asking = new Set<string>();
  /** Which call has which id. */
  readonly ids = new CallIds((channelId) => this.#isLive(channelId));
  readonly #originated = new OriginatedCalls(this.ids);
  readonly live = new LiveCalls(this.#calls, this.#originated.all);
  readonly #inherited = new InheritedCalls();
  /** Channels of ours that are being made, to be dialled. */
  readonly #placing = new Map<string, Dial>();
  /** Callers who came back while their call was still being released. */
  readonly #again = new Map<string, { channel: AriChannel; args: readonly string[] }>();
  /** Calls so far. */
  #begun = 0;
  #closing = false;

  constructor(context: SwitchboardContext) {
    this.#context = context;
  }

  /** Calls from offer to release. */
  get callsActive(): number {
    return this.#calls.size;
  }

  /** Takes over calls of the process before: what is to become of them the next comparison tells. */
  inherit(records: readonly CallRecord[]): void {
    this.#inherited.add(records);
    for (const { channelId, callId } of records) this.ids.claim(channelId, callId);
  }

  #isLive(channelId: string): boolean {
    const lists = [this.#calls, this.#originated.all, this.#placing, this.#asking, this.#inherited];
    return lists.some((list) => list.has(channelId));
  }

  /** Why no call can be taken now. */
  get refusal(): 'shutdown' | 'at-capacity' | undefined {
    if (this.#closing) return 'shutdown';
    const taken = this.#calls.size + this.#placing.size;
    return taken >= this.#context.config.MAX_CALLS ? 'at-capacity' : undefined;
  }

  /**
   * Places a call on a channel that `create` makes under an id of ours; its bot is connected while the callee's phone rings. Rejects
   * with what `create` rejects with: then there is no call.
   */
  async place(channelId: string, dial: Dial, create: () => Promise<PlacedCall>): Promise<CallRecord> {
    this.#placing.set(channelId, dial);
    try {
      const created = create();
      // A stop waits for it, and ends the call that it becomes.
      this.#context.background.run(
        created.catch(() => {}),
        'make a channel',
      );
      const { info, settings } = await created;
      const call = this.#begin(info, false, settings, dial);
      if (dial.cancelled) call.end({ kind: 'api-hangup' });
      return recordOf(call);
    } finally {
      this.#placing.delete(channelId);
    }
  }

  /** Takes no call from now on. */
  close(): void {
    this.#closing = true;
  }

  /** Ends every call that there is now. */
  endCalls(): void {
    for (const call of this.#calls.values()) call.end({ kind: 'shutdown' });
  }

  /** Another process has our app: its calls are no longer ours, and it is told of all others. */
  letGo(): void {
    for (const call of this.#calls.values()) call.end({ kind: 'taken-over' });
    for (const id of this.#originated.all.keys()) this.#originated.take(id);
    for (const waiting of [this.#asking, this.#again]) waiting.clear();
  }

  /** Ends the call that its bot knows by this Twilio SID, after its last words; false where there is none. */
  hangUpForBot(sid: string): boolean {
    const call = this.live.findBySid(sid);
    call?.botHungUp();
    return call !== undefined;
  }

  /** Finds whom an event concerns. Nothing is awaited here. */
  dispatch(event: ChannelEvent): void {
    const { id } = event.type === 'Dial' ? event.peer : event.channel;
    if (isOwn(id, 'pct')) return this.#legHappened(id, event);
    switch (event.type) {
      case 'StasisStart':
        return this.#stasisStart(event.channel, event.args);
      case 'StasisEnd':
        this.#asking.delete(event.channel.id);
        this.#again.delete(event.channel.id);
        return this.#calls.get(event.channel.id)?.callerLeftStasis();
      case 'ChannelHold':
      case 'ChannelUnhold':
        return this.#calls.get(event.channel.id)?.held(event.type === 'ChannelHold');
      case 'ChannelHangupRequest':
        return this.#calls
          .get(event.channel.id)
          ?.callerHungUp(event.soft ? undefined : event.cause, event.tech_cause);
      case 'ChannelDestroyed':
        return this.#channelDestroyed(event);
      case 'ChannelDtmfReceived':
        return this.#calls.get(event.channel.id)?.dtmfReceived(event.digit, event.duration_ms);
      case 'Dial':
        return this.#dial(event);
      case 'ChannelStateChange':
        return this.#stateChanged(event.channel);
    }
  }

  #stasisStart(channel: AriChannel, args: readonly string[]): void {
    const own = this.#mediaCall(channel.id);
    if (own?.state === 'setup' || own?.state === 'active') return own.path.mediaEntered();
    // Also one that came to be only after its call, tired of waiting, had removed it.
    if (isOwn(channel.id, 'pcm')) {
      return this.#context.background.run(
        this.#context.ari.hangUp(channel.id, 16),
        'remove a media channel without a call',
      );
    }
    const dial = this.#placing.get(channel.id) ?? this.#calls.get(channel.id)?.dial;
    if (dial !== undefined) return dial.entered();
    const call = this.#calls.get(channel.id);
    if (call !== undefined) return this.#cameBack(call, channel, args);
    if (this.#asking.has(channel.id)) return;
    if (!isTelephone(channel)) return this.#dismiss(channel, 21, 'no telephone line');
    // A caller's phone is in the state Ring; one that is called, Down and then Ringing.
    if (channel.state === 'Down' || channel.state === 'Ringing') {
      this.#originatedCall(channel).args = args;
      return;
    }
    // The call that had them transferred is gone: done, or to be taken up again.
    if (args[0] === REFER_RESULT && args[1] === 'SUCCESS')
      return this.#context.background.run(this.#context.ari.hangUp(channel.id, 16), 'hang up a caller');
    this.#offer(channel, args[0] === REFER_RESULT ? [] : args);
  }

  /** Hangs up a channel that is to have no call. */
  #dismiss({ id, name }: AriChannel, cause: number, why: string): void {
    this.#context.log.warn({ channelId: id, name, why }, 'a channel is turned away');
    this.#context.background.run(this.#context.ari.hangUp(id, cause), 'turn a channel away');
  }

  /** A caller who has a call enters our app again: from a transfer, or while that call is still being released. */
  #cameBack(call: Call, channel: AriChannel, args: readonly string[]): void {
    const isAway = call.lastTransfer?.callerAway;
    if (isAway && args[0] === REFER_RESULT) call.lastTransfer?.callerReturned(args.slice(1));
    else if (isAway || call.state === 'closing') this.#again.set(channel.id, { channel, args });
  }

  #legHappened(legId: string, event: ChannelEvent): void {
    const transfer = this.#calls.get(parseOwnId(legId)?.callerId ?? '')?.lastTransfer;
    if (transfer?.legId === legId) return transfer.legHappened(event);
    if (event.type !== 'StasisStart') return;
    this.#context.background.run(this.#context.ari.hangUp(legId, 16), 'remove a leg without a call');
  }

  /** A caller's channel is ours from now on: it gets a call, or is given back. */
  #offer(channel: AriChannel, args: readonly string[]): void {
    const dial = this.#originated.all.get(channel.id);
    const { refusal } = this;
    if (refusal !== undefined) {
      // A dial stays on the list: its end is told to who placed it.
      const { config, reports } = this.#context;
      const mayHave = (id: string) => this.ids.claim(channel.id, id);
      const variables = channel.channelvars ?? {};
      const caller = dial ? undefined : callInfo(config, channel, args, variables, undefined, mayHave);
      reports.refused(channel.id, refusal, caller);
      return this.#context.background.run(
        giveBack(this.#context.ari, channel.id, refusal, dial !== undefined),
        'give a call back',
      );
    }
    this.#originated.take(channel.id);
    const variables = channel.channelvars;
    if (variables !== undefined) return this.#take(channel, args, variables, dial);
    // No `channelvars` in ari.conf: they are asked for, one by one. The caller may leave meanwhile (see StasisEnd).
    this.#asking.add(channel.id);
    const asked = this.#context.ari.variables(channel.id, CALL_VARIABLES).then(
      (answers) => {
        if (this.#asking.delete(channel.id)) this.#take(channel, args, answers, dial);
      },
      async (error) => {
        if (this.#asking.delete(channel.id))
          await giveBack(this.#context.ari, channel.id, 'setup-failed', dial !== undefined);
        throw error;
      },
    );
    this.#context.background.run(asked, 'read the variables of a call');
  }

  #take(
    channel: AriChannel,
    appArgs: readonly string[],
    variables: Readonly<Record<string, string>>,
    dial: Originated | undefined,
  ): void {
    const mayHave = (id: string) => this.ids.claim(channel.id, id);
    const info = callInfo(this.#context.config, channel, appArgs, variables, dial, mayHave);
    const before = dial?.before ?? this.#inherited.take(channel.id);
    const inherited = asInherited(info, before);
    this.#begin(inherited, channel.state === 'Up', callSettings(this.#context.config, inherited));
  }

  #begin(info: CallInfo, isUp: boolean, settings: CallSettings, dial?: Dial): Call {
    const { ari, media, log, reports, instance } = this.#context;
    this.#begun += 1;
    const context: CallContext = {
      ids: { instance, number: this.#begun },
      ...{ ari, media, log, outboundCalls: (provider) => this.live.outbound(provider) },
      onChange: (changed, change) => {
        if (change !== 'closing') reports.changed(changed, change);
      },
    };
    const call = new Call(info, isUp, settings, context, dial);
    this.#calls.set(info.channelId, call);
    reports.started(call);
    this.#context.background.run(this.#run(call), 'run a call');
    return call;
  }

  async #run(call: Call): Promise<void> {
    const result = await call.run();
    this.#calls.delete(call.info.channelId);
    this.#context.reports.ended(call, result);
    const again = this.#again.get(call.info.channelId);
    this.#again.delete(call.info.channelId);
    if (again !== undefined) this.#stasisStart(again.channel, again.args);
  }

  /** The call whose media channel of now this is. */
  #mediaCall(id: string): Call | undefined {
    const call = this.#calls.get(parseOwnId(id)?.callerId ?? '');
    return call?.path.mediaChannelId === id ? call : undefined;
  }

  #channelDestroyed(event: Extract<ChannelEvent, { type: 'ChannelDestroyed' }>): void {
    const { id } = event.channel;
    if (this.#mediaCall(id)?.path.hasEntered) this.#mediaCall(id)?.mediaGone();
    this.#calls.get(id)?.callerHungUp(event.cause, event.tech_cause);
    if (this.#wasWithdrawn(event.channel)) this.#originatedCall(event.channel);
    const dial = this.#originated.take(id);
    if (dial === undefined) return;
    dial.channel = event.channel;
    this.#context.reports.dialFailed(
      dial,
      dialOutcome(event.cause, event.tech_cause),
      event.cause,
      event.tech_cause,
    );
  }

  /** Whether somebody has originated a channel and hung it up before Asterisk had begun to dial: its end is all that is heard of it. */
  #wasWithdrawn({ id, state }: AriChannel): boolean {
    const isOurs = isOwn(id, 'pcm') || id.startsWith(DIAL_ID_PREFIX);
    return state === 'Down' && !isOurs && !this.#calls.has(id);
  }

  /** A dial of ours, or somebody else's who originates into our app: only such channels have Dial events for us. */
  #dial({ peer, caller, dialstring, dialstatus }: Extract<ChannelEvent, { type: 'Dial' }>): void {
    // With a caller it is the dialplan that dials, for a call that we gave back.
    if (caller !== undefined || this.#placing.has(peer.id)) return;
    if (isOwn(peer.id, 'pcm')) return;
    if (dialstatus === 'RINGING') this.#rings(peer);
    if (this.#calls.has(peer.id)) return;
    const dial = this.#originatedCall(peer);
    dial.dialled ||= dialstring.split('@')[0] ?? '';
  }

  #originatedCall(channel: AriChannel): Originated {
    const isNew = !this.#originated.all.has(channel.id);
    const dial = this.#originated.of(channel, () => this.#inherited.take(channel.id));
    if (isNew) this.#context.reports.dialChanged(dial, 'dialling');
    return dial;
  }

  #rings(channel: AriChannel): void {
    const call = this.#calls.get(channel.id);
    if (call?.dial?.rings()) this.#context.reports.changed(call, 'ringing');
    const dial = this.#originated.all.get(channel.id);
    if (dial === undefined || dial.ringing) return;
    dial.ringing = true;
    this.#context.reports.dialChanged(dial, 'ringing');
  }

  #stateChanged(channel: AriChannel): void {
    if (channel.state === 'Ringing') return this.#rings(channel);
    if (channel.state !== 'Up') return;
    this.#calls.get(channel.id)?.dial?.answered();
    const args = this.#originated.all.get(channel.id)?.args;
    if (args !== undefined) this.#offer(channel, args);
  }

  /** Compares what Asterisk holds with what we know: what is no longer ours to hold is removed, who waits for nobody is taken. */
  async reconcile(): Promise<void> {
    // A call that begins from here on may not be on the list, and one that ends meanwhile may still be.
    const before = [...this.#calls];
    const dials = [...this.#originated.all.values()];
    const [channels, bridgeIds, held] = await Promise.all([
      this.#context.ari.channels(),
      this.#context.ari.bridgeIds(),
      this.#context.ari.applicationChannels(),
    ]);
    const present = new Set(channels.map((channel) => channel.id));
    for (const [id, call] of before) if (!present.has(id)) call.callerHungUp(undefined);
    for (const dial of dials) {
      // Its end was missed, while events did not reach us.
      if (!present.has(dial.channel.id)) {
        if (this.#originated.take(dial.channel.id)) this.#context.reports.dialFailed(dial, 'failed', 0);
      } else if (isForgotten(dial))
        this.#context.background.run(this.#context.ari.hangUp(dial.channel.id, 16), 'remove a channel');
    }
    const left = findLeftovers(
      { channels, bridgeIds, appChannelIds: new Set(held) },
      {
        callers: new Set([
          ...[...before.map(([id]) => id), ...this.#calls.keys()],
          ...[...this.#placing.keys(), ...this.#originated.all.keys()],
        ]),
        media: new Set([...this.#calls.values()].flatMap((call) => call.ownChannelIds)),
        bridges: new Set([...this.#calls.values()].map((call) => call.path.bridgeId)),
      },
    );
    await this.#tidy(left);
    this.#inherited.settle(channels, this.#asking, {
      rings: (channel) => this.#originatedCall(channel),
      died: (record) => this.#context.reports.died(record),
    });
  }

  async #tidy(left: Leftovers): Promise<void> {
    const found = left.mediaChannelIds.length + left.bridgeIds.length + left.waiting.length;
    if (found === 0) return;
    this.#context.log.warn(
      { bridges: left.bridgeIds.length, media: left.mediaChannelIds.length, adopted: left.waiting.length },
      'left over from before: removed or adopted',
    );
    await Promise.all([
      ...left.mediaChannelIds.map((id) => this.#context.ari.hangUp(id, 16)),
      ...left.bridgeIds.map((id) => this.#context.ari.destroyBridge(id)),
    ]);
    // Their ids are free again now, so those who wait are taken like new calls.
    for (const channel of left.waiting) {
      this.#stasisStart(channel, channel.dialplan.app_data.split(',').slice(1));
    }
  }
}
