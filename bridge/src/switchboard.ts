import { randomUUID } from 'node:crypto';
import type { AriClient } from './ari/client.ts';
import type { AriChannel, AriEvent } from './ari/model.ts';
import type { Background } from './background.ts';
import { Call, type CallResult } from './call.ts';
import { CALL_VARIABLES, type CallInfo, describeCall, providerName } from './call-info.ts';
import { callDefaults, callSettings } from './call-settings.ts';
import type { StatusCallbacks } from './callback.ts';
import type { Config } from './config.ts';
import type { Metrics } from './http/metrics.ts';
import { findLeftovers } from './leftovers.ts';
import type { Logger } from './log.ts';
import type { MediaPool } from './media/pool.ts';
import { MEDIA_ID_PREFIX } from './media-path.ts';
import { callbackStatus, dialOutcome } from './outcome.ts';
import { callSid } from './pipecat/twilio.ts';

/** A channel that somebody originated into our app and that has not been answered yet. */
interface Dial {
  dialled: string;
  /** App arguments of a channel that entered Stasis before its dial (ARI's create and dial): it waits here for the answer. */
  args?: readonly string[];
}

/** Dials that may be under way at once; of more, the oldest is forgotten. */
const DIALS_MAX = 10_000;

/** What the switchboard works with. */
export interface SwitchboardContext {
  readonly config: Config;
  readonly ari: AriClient;
  readonly media: MediaPool;
  readonly metrics: Metrics;
  readonly callbacks: StatusCallbacks;
  readonly background: Background;
  readonly log: Logger;
}

/** An event of ARI that concerns a channel. */
type ChannelEvent = Exclude<AriEvent, { type: 'ApplicationReplaced' }>;

/** Calls and dials: finds the one that an ARI event belongs to, and takes new ones in. */
export class Switchboard {
  readonly #context: SwitchboardContext;
  /** By the caller's channel. */
  readonly #calls = new Map<string, Call>();
  /** By the channels that we made. */
  readonly #mediaChannels = new Map<string, Call>();
  /** Channels whose variables are being read. */
  readonly #asking = new Set<string>();
  readonly #dials = new Map<string, Dial>();
  #closing = false;

  constructor(context: SwitchboardContext) {
    this.#context = context;
  }

  /** Calls from offer to release. */
  get callsActive(): number {
    return this.#calls.size;
  }

  /** Takes no call from now on. */
  close(): void {
    this.#closing = true;
  }

  /** Ends every call that there is now. */
  endCalls(): void {
    for (const call of this.#calls.values()) call.end({ kind: 'shutdown' });
  }

  /** Ends the call that its bot knows by this Twilio SID, after its last words; false where there is none. */
  hangUpForBot(sid: string): boolean {
    const call = [...this.#calls.values()].find(({ info }) => callSid(info.callId) === sid);
    call?.botHungUp();
    return call !== undefined;
  }

  /** Finds whom an event concerns. Nothing is awaited here. */
  dispatch(event: ChannelEvent): void {
    switch (event.type) {
      case 'StasisStart':
        return this.#stasisStart(event.channel, event.args);
      case 'StasisEnd':
        this.#asking.delete(event.channel.id);
        return this.#calls.get(event.channel.id)?.callerHungUp(undefined);
      case 'ChannelHangupRequest':
        return this.#calls.get(event.channel.id)?.callerHungUp(event.soft ? undefined : event.cause);
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
    const own = this.#mediaChannels.get(channel.id);
    if (own?.state === 'setup') return own.path.mediaEntered();
    // Also one that came to be only after its call, tired of waiting, had removed it.
    if (channel.id.startsWith(MEDIA_ID_PREFIX)) {
      return this.#context.background.run(
        this.#context.ari.hangUp(channel.id, 16),
        'remove a media channel without a call',
      );
    }
    if (this.#calls.has(channel.id) || this.#asking.has(channel.id)) return;
    if (channel.state === 'Down') {
      this.#dialOf(channel.id).args = args;
      return;
    }
    this.#offer(channel, args);
  }

  /** A caller's channel is ours from now on: it gets a call, or is given back. */
  #offer(channel: AriChannel, args: readonly string[]): void {
    const dial = this.#dials.get(channel.id);
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      // A dial stays on the list: its end is told to who placed it.
      this.#context.metrics.callRefused(refusal);
      this.#context.log.warn({ channelId: channel.id, why: refusal }, 'call not taken');
      return this.#context.background.run(
        this.#giveBack(channel.id, refusal, dial !== undefined),
        'give a call back',
      );
    }
    this.#dials.delete(channel.id);
    const variables = channel.channelvars;
    if (variables !== undefined) return this.#take(channel, args, variables, dial);
    // No `channelvars` in ari.conf: they are asked for, one by one. The caller may leave meanwhile (see StasisEnd).
    this.#asking.add(channel.id);
    const asked = this.#askVariables(channel.id).then(
      (answers) => {
        if (this.#asking.delete(channel.id)) this.#take(channel, args, answers, dial);
      },
      async (error) => {
        if (this.#asking.delete(channel.id))
          await this.#giveBack(channel.id, 'setup-failed', dial !== undefined);
        throw error;
      },
    );
    this.#context.background.run(asked, 'read the variables of a call');
  }

  #refusal(): string | undefined {
    if (this.#closing) return 'shutdown';
    return this.#calls.size >= this.#context.config.MAX_CALLS ? 'at-capacity' : undefined;
  }

  async #giveBack(channelId: string, status: string, isOutbound: boolean): Promise<void> {
    if (isOutbound) return await this.#context.ari.hangUp(channelId, 42);
    // The fallback does not depend on knowing why.
    await this.#context.ari.setVariable(channelId, 'PIPECAT_STATUS', status).catch(() => {});
    await this.#context.ari
      .continueInDialplan(channelId)
      .catch(() => this.#context.ari.hangUp(channelId, 42));
  }

  #take(
    channel: AriChannel,
    appArgs: readonly string[],
    variables: Readonly<Record<string, string>>,
    dial: Dial | undefined,
  ): void {
    const info = describeCall({
      channel,
      appArgs,
      variables: Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== '')),
      wasDialled: dial !== undefined,
      dialled: dial?.dialled,
      provider: this.#context.config.providers.get(providerName(channel) ?? ''),
      defaults: callDefaults(this.#context.config),
      newId: randomUUID,
    });
    const call = new Call(info, channel.state === 'Up', callSettings(this.#context.config, info), {
      ari: this.#context.ari,
      media: this.#context.media,
      log: this.#context.log,
      onChange: () => {},
    });
    this.#calls.set(channel.id, call);
    this.#mediaChannels.set(call.path.mediaChannelId, call);
    this.#context.background.run(this.#run(call), 'run a call');
  }

  async #run(call: Call): Promise<void> {
    const { info } = call;
    const ids = {
      callId: info.callId,
      channelId: info.channelId,
      provider: info.sipProvider,
      direction: info.direction,
    };
    this.#context.log.info(
      { ...ids, remarks: info.remarks.length > 0 ? info.remarks : undefined },
      'call started',
    );
    this.#context.log.debug(
      { ...ids, from: info.from, to: info.to, customVars: info.customVars },
      'call details',
    );
    const result = await call.run();
    this.#calls.delete(info.channelId);
    this.#mediaChannels.delete(call.path.mediaChannelId);
    this.#context.metrics.callEnded(result, info.direction);
    const { treatment, reason, cause, answered, stepsMs, figures } = result;
    const durationMs = Math.round(performance.now() - call.offeredMs);
    this.#context.log[treatment.level](
      { ...ids, reason, by: treatment.by, cause, answered, durationMs, stepsMs, figures },
      'call ended',
    );
    this.#reportEnd(info, result);
  }

  #reportEnd(info: CallInfo, result: CallResult): void {
    if (info.callbackUrl === undefined) return;
    // To who placed the call, one that never met its bot is an error, though it was answered.
    const status = result.treatment.fallback === undefined ? 'completed' : 'error';
    this.#context.callbacks.post(info.callbackUrl, {
      call_sid: info.channelId,
      call_id: info.callId,
      status,
      outcome: 'answered',
      cause: String(result.cause),
    });
  }

  #channelDestroyed(event: Extract<AriEvent, { type: 'ChannelDestroyed' }>): void {
    const { id } = event.channel;
    this.#mediaChannels.get(id)?.mediaGone();
    this.#calls.get(id)?.callerHungUp(event.cause);
    if (this.#dials.delete(id)) this.#dialFailed(event);
  }

  /** A dial ended without an answer: no bot ever hears of it. */
  #dialFailed({
    channel,
    cause,
    tech_cause: sipStatus,
  }: Extract<AriEvent, { type: 'ChannelDestroyed' }>): void {
    const outcome = dialOutcome(cause);
    const variables = channel.channelvars ?? {};
    const callId = variables.X_CALL_ID || channel.id;
    this.#context.metrics.dialFailed(outcome);
    this.#context.log.info(
      { callId, channelId: channel.id, provider: providerName(channel), outcome, cause, sipStatus },
      'dial failed',
    );
    if (!variables.X_CALLBACK_URL) return;
    this.#context.callbacks.post(variables.X_CALLBACK_URL, {
      call_sid: channel.id,
      call_id: callId,
      status: callbackStatus(outcome),
      outcome,
      cause: String(cause),
      ...(sipStatus === undefined ? {} : { sip_status: String(sipStatus) }),
    });
  }

  /** Somebody originates into our app: only such channels have Dial events for us. */
  #dial({ peer, caller, dialstring }: Extract<AriEvent, { type: 'Dial' }>): void {
    // With a caller it is the dialplan that dials, for a call that we gave back.
    if (caller !== undefined) return;
    if (this.#calls.has(peer.id) || peer.id.startsWith(MEDIA_ID_PREFIX)) return;
    const dial = this.#dialOf(peer.id);
    dial.dialled ||= dialstring.split('@')[0] ?? '';
  }

  #dialOf(channelId: string): Dial {
    const dial = this.#dials.get(channelId) ?? { dialled: '' };
    this.#dials.set(channelId, dial);
    const [oldest] = this.#dials.keys();
    if (this.#dials.size > DIALS_MAX && oldest !== undefined) this.#dials.delete(oldest);
    return dial;
  }

  #stateChanged(channel: AriChannel): void {
    const args = this.#dials.get(channel.id)?.args;
    if (channel.state === 'Up' && args !== undefined) this.#offer(channel, args);
  }

  async #askVariables(channelId: string): Promise<Record<string, string>> {
    const answers = await Promise.all(
      CALL_VARIABLES.map((name) => this.#context.ari.variable(channelId, name)),
    );
    return Object.fromEntries(CALL_VARIABLES.map((name, index) => [name, answers[index] ?? '']));
  }

  /** Compares what Asterisk holds with what we know: what is no longer ours to hold is removed, who waits for nobody is taken. */
  async reconcile(): Promise<void> {
    // A call that begins from here on may not be on the list, and one that ends meanwhile may still be.
    const before = [...this.#calls];
    const [channels, bridgeIds, held] = await Promise.all([
      this.#context.ari.channels(),
      this.#context.ari.bridgeIds(),
      this.#context.ari.applicationChannels(),
    ]);
    const present = new Set(channels.map((channel) => channel.id));
    for (const [id, call] of before) if (!present.has(id)) call.callerHungUp(undefined);
    const left = findLeftovers(
      { channels, bridgeIds, appChannelIds: new Set(held) },
      {
        callers: new Set([...before.map(([id]) => id), ...this.#calls.keys()]),
        media: new Set(this.#mediaChannels.keys()),
        bridges: new Set([...this.#calls.values()].map((call) => call.path.bridgeId)),
      },
    );
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
