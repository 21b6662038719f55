import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { type AriAccess, AriClient } from './ari/client.ts';
import { AriEvents } from './ari/events.ts';
import { type AriChannel, type AriEvent, EVENT_TYPES } from './ari/model.ts';
import { Call, type CallResult, MEDIA_ID_PREFIX } from './call.ts';
import { CALL_VARIABLES, type CallInfo, describeCall, providerName } from './call-info.ts';
import { callSettings } from './call-settings.ts';
import { StatusCallbacks } from './callback.ts';
import type { Config } from './config.ts';
import { Metrics } from './http/metrics.ts';
import { startHttp } from './http/server.ts';
import { findLeftovers } from './leftovers.ts';
import type { Logger } from './log.ts';
import { MediaPool } from './media/pool.ts';
import { callbackStatus, dialOutcome } from './outcome.ts';

/** A channel that somebody originated into our app and that has not been answered yet. */
interface Dial {
  dialled: string;
  /** App arguments of a channel that entered Stasis before its dial (ARI's create and dial): it waits here for the answer. */
  args?: readonly string[];
}

/** Dials that may be under way at once; of more, the oldest is forgotten. */
const DIALS_MAX = 10_000;

/**
 * The bridge: one connection to Asterisk, one call object for each caller's channel. Rejects when the HTTP port is taken.
 * ARI need not be there yet: it is tried until it is.
 */
export async function startDaemon(config: Config, log: Logger): Promise<Daemon> {
  const daemon = new Daemon(config, log);
  await daemon.start();
  return daemon;
}

/** A running bridge. */
export class Daemon {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #ari: AriClient;
  readonly #events: AriEvents;
  readonly #media: MediaPool;
  readonly #metrics: Metrics;
  readonly #callbacks: StatusCallbacks;
  /** By the caller's channel. */
  readonly #calls = new Map<string, Call>();
  /** By the channels that we made. */
  readonly #mediaChannels = new Map<string, Call>();
  /** Everything under way: calls, and what nobody waits for. */
  readonly #running = new Set<Promise<void>>();
  /** Channels whose variables are being read. */
  readonly #asking = new Set<string>();
  readonly #dials = new Map<string, Dial>();
  #http: FastifyInstance | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #ariProblem: string | undefined = 'ARI has not been reached yet';
  #stopping = false;

  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    const access: AriAccess = {
      url: config.ARI_URL,
      username: config.ARI_USERNAME,
      password: config.ARI_PASSWORD,
      app: config.ARI_APP,
      timeoutMs: config.ARI_TIMEOUT_MS,
    };
    this.#ari = new AriClient(access);
    this.#events = new AriEvents(access, {
      onUp: () => this.#background(this.#ariUp(), 'reconcile'),
      onDown: (why) => this.#ariDown(why),
      onEvent: (event) => this.#dispatch(event),
      onUnreadable: (error) => log.warn({ error: error.message }, 'ARI event could not be read'),
    });
    this.#media = new MediaPool(
      { workers: config.MEDIA_WORKERS, rtpPortMin: config.RTP_PORT_MIN, rtpPortMax: config.RTP_PORT_MAX },
      log,
    );
    this.#callbacks = new StatusCallbacks(config.CALLBACK_SECRET, config.CALLBACK_TRIES, log);
    this.#metrics = new Metrics({
      callsActive: () => this.#calls.size,
      media: () => this.#media,
      ariUp: () => this.#ariProblem === undefined,
      callbacks: () => this.#callbacks.stats,
    });
  }

  /** The port that the HTTP interface listens on. */
  get httpPort(): number {
    const address = this.#http?.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Opens the HTTP interface and begins to connect to ARI. */
  async start(): Promise<void> {
    const { HTTP_ADDRESS, HTTP_PORT } = this.#config;
    this.#http = await startHttp(HTTP_ADDRESS, HTTP_PORT, this.#metrics, () => this.#notReady());
    this.#events.start();
    this.#sweep = setInterval(() => {
      if (this.#ariProblem === undefined) this.#background(this.#reconcile(), 'reconcile');
    }, this.#config.RECONCILE_MS);
    this.#log.info({ http: `${HTTP_ADDRESS}:${this.httpPort}`, ari: this.#config.ARI_URL }, 'bridge started');
  }

  /** Ends every call, releases what they hold, and closes all connections. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#sweep);
    this.#log.info({ calls: this.#calls.size }, 'bridge stopping');
    // A call may still be in the making, and one that is refused meanwhile still be given back.
    while (this.#running.size > 0) {
      for (const call of this.#calls.values()) call.end({ kind: 'shutdown' });
      await Promise.race(this.#running);
    }
    this.#events.stop();
    await this.#callbacks.close(this.#config.SHUTDOWN_MS);
    await this.#http?.close();
    await this.#media.close();
    await this.#ari.close();
    this.#log.info('bridge stopped');
  }

  #notReady(): string[] {
    const problems: string[] = [];
    if (this.#stopping) problems.push('the bridge is stopping');
    if (this.#ariProblem !== undefined) problems.push(this.#ariProblem);
    if (this.#calls.size >= this.#config.MAX_CALLS) problems.push('MAX_CALLS is reached');
    return problems;
  }

  #dispatch(event: AriEvent): void {
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
      case 'ApplicationReplaced':
        // Another process took the app over. Fighting for it would split the calls between the two.
        this.#ariProblem = `another process has taken over the Stasis app ${event.application}`;
        this.#log.error({ app: event.application }, 'the Stasis app was taken over by another process');
        return this.#events.stop();
    }
  }

  #stasisStart(channel: AriChannel, args: readonly string[]): void {
    const own = this.#mediaChannels.get(channel.id);
    if (own?.state === 'setup') return own.mediaEntered();
    // Also one that came to be only after its call, tired of waiting, had removed it.
    if (channel.id.startsWith(MEDIA_ID_PREFIX)) {
      return this.#background(this.#ari.hangUp(channel.id, 16), 'remove a media channel without a call');
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
      this.#metrics.callRefused(refusal);
      this.#log.warn({ channelId: channel.id, why: refusal }, 'call not taken');
      return this.#background(this.#giveBack(channel.id, refusal, dial !== undefined), 'give a call back');
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
    this.#background(asked, 'read the variables of a call');
  }

  #refusal(): string | undefined {
    if (this.#stopping) return 'shutdown';
    return this.#calls.size >= this.#config.MAX_CALLS ? 'at-capacity' : undefined;
  }

  async #giveBack(channelId: string, status: string, isOutbound: boolean): Promise<void> {
    if (isOutbound) return await this.#ari.hangUp(channelId, 42);
    // The fallback does not depend on knowing why.
    await this.#ari.setVariable(channelId, 'PIPECAT_STATUS', status).catch(() => {});
    await this.#ari.continueInDialplan(channelId).catch(() => this.#ari.hangUp(channelId, 42));
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
      provider: this.#config.providers.get(providerName(channel) ?? ''),
      defaults: {
        encoding: this.#config.DEFAULT_ENCODING,
        sampleRate: this.#config.DEFAULT_SAMPLE_RATE,
        transport: this.#config.MEDIA_TRANSPORT,
        framing: this.#config.PIPECAT_FRAMING,
      },
      newId: randomUUID,
    });
    const call = new Call(info, channel.state === 'Up', callSettings(this.#config, info), {
      ari: this.#ari,
      media: this.#media,
      log: this.#log,
    });
    this.#calls.set(channel.id, call);
    this.#mediaChannels.set(call.mediaChannelId, call);
    this.#background(this.#run(call), 'run a call');
  }

  async #run(call: Call): Promise<void> {
    const { info } = call;
    const ids = {
      callId: info.callId,
      channelId: info.channelId,
      provider: info.sipProvider,
      direction: info.direction,
    };
    this.#log.info({ ...ids, remarks: info.remarks.length > 0 ? info.remarks : undefined }, 'call started');
    this.#log.debug({ ...ids, from: info.from, to: info.to, customVars: info.customVars }, 'call details');
    const result = await call.run();
    this.#calls.delete(info.channelId);
    this.#mediaChannels.delete(call.mediaChannelId);
    this.#metrics.callEnded(result, info.direction);
    const { treatment, reason, cause, answered, stepsMs, figures } = result;
    const durationMs = Math.round(performance.now() - call.offeredMs);
    this.#log[treatment.level](
      { ...ids, reason, by: treatment.by, cause, answered, durationMs, stepsMs, figures },
      'call ended',
    );
    this.#reportEnd(info, result);
  }

  #reportEnd(info: CallInfo, result: CallResult): void {
    if (info.callbackUrl === undefined) return;
    // To who placed the call, one that never met its bot is an error, though it was answered.
    const status = result.treatment.fallback === undefined ? 'completed' : 'error';
    this.#callbacks.post(info.callbackUrl, {
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
    this.#metrics.dialFailed(outcome);
    this.#log.info(
      { callId, channelId: channel.id, provider: providerName(channel), outcome, cause, sipStatus },
      'dial failed',
    );
    if (!variables.X_CALLBACK_URL) return;
    this.#callbacks.post(variables.X_CALLBACK_URL, {
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
    const answers = await Promise.all(CALL_VARIABLES.map((name) => this.#ari.variable(channelId, name)));
    return Object.fromEntries(CALL_VARIABLES.map((name, index) => [name, answers[index] ?? '']));
  }

  async #ariUp(): Promise<void> {
    this.#ariProblem = undefined;
    // Only spares work: a call does not depend on it.
    this.#background(this.#ari.allowEvents(EVENT_TYPES), 'event filter');
    try {
      await this.#reconcile();
      this.#log.info('ARI connected');
    } catch (error) {
      // Without it callers could wait in Stasis for nobody: from the beginning, then.
      this.#events.reconnect();
      throw error;
    }
  }

  /** Compares what Asterisk holds with what we know: what is no longer ours to hold is removed, who waits for nobody is taken. */
  async #reconcile(): Promise<void> {
    // A call that begins from here on may not be on the list, and one that ends meanwhile may still be.
    const before = [...this.#calls];
    const [channels, bridgeIds, held] = await Promise.all([
      this.#ari.channels(),
      this.#ari.bridgeIds(),
      this.#ari.applicationChannels(),
    ]);
    const present = new Set(channels.map((channel) => channel.id));
    for (const [id, call] of before) if (!present.has(id)) call.callerHungUp(undefined);
    const left = findLeftovers(
      { channels, bridgeIds, appChannelIds: new Set(held) },
      {
        callers: new Set([...before.map(([id]) => id), ...this.#calls.keys()]),
        media: new Set(this.#mediaChannels.keys()),
        bridges: new Set([...this.#calls.values()].map((call) => call.bridgeId)),
      },
    );
    const found = left.mediaChannelIds.length + left.bridgeIds.length + left.waiting.length;
    if (found === 0) return;
    this.#log.warn(
      { bridges: left.bridgeIds.length, media: left.mediaChannelIds.length, adopted: left.waiting.length },
      'left over from before: removed or adopted',
    );
    await Promise.all([
      ...left.mediaChannelIds.map((id) => this.#ari.hangUp(id, 16)),
      ...left.bridgeIds.map((id) => this.#ari.destroyBridge(id)),
    ]);
    // Their ids are free again now, so those who wait are taken like new calls.
    for (const channel of left.waiting) {
      this.#stasisStart(channel, channel.dialplan.app_data.split(',').slice(1));
    }
  }

  #ariDown(why: string): void {
    this.#ariProblem = why;
    this.#log.error({ why }, 'ARI not connected, trying again');
  }

  /** Work that nobody but `stop()` waits for: its failure is logged, never lost. */
  #background(work: Promise<unknown>, what: string): void {
    const failed = (error: Error) => this.#log.error({ what, error: error.message }, 'failed');
    const done = work.then(() => {}, failed).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }
}
