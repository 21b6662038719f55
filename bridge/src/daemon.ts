import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import packageJson from '../package.json' with { type: 'json' };
import type { AriAccess } from './ari/access.ts';
import { AriClient } from './ari/client.ts';
import { AriLink } from './ari/link.ts';
import { AriError } from './ari/requests.ts';
import { configDigest } from './config/digest.ts';
import { type Config, portNeeds } from './config/environment.ts';
import { rangeWarnings } from './config/port-ranges.ts';
import { CallControl } from './control/call-control.ts';
import { readiness } from './control/readiness.ts';
import { EventStream } from './http/event-stream.ts';
import { startHttp } from './http/server.ts';
import type { Logger } from './log.ts';
import { type MakeWorker, makeWorker } from './media/make-worker.ts';
import { MediaPool } from './media/pool.ts';
import { Retention } from './recording/retention.ts';
import { RecordWriter } from './records/record-writer.ts';
import { RecordStore } from './records/store.ts';
import { StatusCallbacks } from './reports/callbacks.ts';
import { Metrics } from './reports/metrics.ts';
import { CallReports } from './reports/reports.ts';
import { AsteriskPorts } from './switchboard/asterisk-ports.ts';
import { Background } from './switchboard/background.ts';
import { Gate } from './switchboard/gate.ts';
import { Predecessors } from './switchboard/predecessors.ts';
import { Sweep } from './switchboard/sweep.ts';
import { Switchboard } from './switchboard/switchboard.ts';
import { DAY_MS, MEGABYTE } from './units/units.ts';

const { version } = packageJson;

/**
 * Starts the bridge: one connection to Asterisk, one call object for each caller's channel. Rejects
 * if the HTTP port is in use. ARI may be unavailable: connecting is retried. `make` creates the
 * media workers; by default this thread does.
 */
export async function startDaemon(config: Config, log: Logger, make = makeWorker): Promise<Daemon> {
  const daemon = new Daemon(config, log, make);
  await daemon.start();
  return daemon;
}

/** Length of the process's random id, bytes. */
const INSTANCE_BYTES = 4;
/** Longest time for last words when Asterisk stops: it waits no longer (`asterisk/stop-calls`). */
const ASTERISK_STOPS_MS = 2_000;
/** While the bridge drains, the number of calls is looked at this often. */
const DRAIN_LOOK_MS = 50;

/** A running bridge: creates its parts, and stops them in order. */
export class Daemon {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #background: Background;
  readonly #ari: AriClient;
  readonly #events: AriLink;
  readonly #predecessors: Predecessors;
  readonly #media: MediaPool;
  readonly #asteriskPorts: AsteriskPorts;
  readonly #metrics: Metrics;
  readonly #recordings: Retention;
  readonly #records: RecordStore;
  readonly #callbacks: StatusCallbacks;
  readonly #gate: Gate;
  readonly #switchboard: Switchboard;
  readonly #control: CallControl;
  /** Event ids are unique to this process. Ids of a previous process are not valid. */
  readonly #changes = new EventStream(Date.now().toString(36));
  #http: FastifyInstance | undefined;
  readonly #sweep: Sweep;
  #ariProblem: { readonly why: string } | undefined = { why: 'ARI has not been reached yet' };
  /** Fires when the calls under way are not to be waited for any more. */
  readonly #hurry = new AbortController();
  #draining = false;
  #stopping = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(config: Config, log: Logger, make: MakeWorker) {
    this.#config = config;
    this.#log = log;
    this.#background = new Background(log);
    this.#sweep = new Sweep(config.RECONCILE_MS, () => this.#background.run(this.#compare(), 'reconcile'));
    const access: AriAccess = {
      url: config.ARI_URL,
      username: config.ARI_USERNAME,
      password: config.ARI_PASSWORD,
      app: config.ARI_APP,
      timeoutMs: config.ARI_TIMEOUT_MS,
    };
    this.#ari = new AriClient(access);
    const instance = randomBytes(INSTANCE_BYTES).toString('hex');
    const connection = {
      instance,
      heartbeatMs: config.ARI_HEARTBEAT_MS,
      isDead: (other: string) => this.#records.isDead(other),
    };
    this.#predecessors = new Predecessors({
      instance,
      app: config.ARI_APP,
      ari: this.#ari,
      heartbeatMs: config.ARI_HEARTBEAT_MS,
      takeAppOf: (other) => this.#events.takeAppOf(other),
      recover: () => this.#recover(),
    });
    this.#events = new AriLink(access, connection, this.#ari, {
      onConnected: () => this.#ariConnected(),
      onReady: () => this.#ariReady(),
      onDown: (why) => this.#ariDown(why),
      onTakenOver: (isElsewhere) => this.#takenOver(isElsewhere),
      onAsteriskStopping: () => this.#asteriskStopping(),
      onEvent: (event) => this.#switchboard.dispatch(event),
      onUnreadable: (error) => this.#unreadable(error),
      onHandingOver: () => this.#switchboard.handingOver.begin(),
      isKept: (channelId) => this.#switchboard.handingOver.isKept(channelId),
      onHandedOver: () => this.#handedOver(),
      onResumed: (why) => this.#resumed(why),
    });
    this.#media = new MediaPool(
      {
        workers: config.MEDIA_WORKERS,
        rtpPortMin: config.RTP_PORT_MIN,
        rtpPortMax: config.RTP_PORT_MAX,
        botConnectsPerSecond: config.BOT_CONNECTS_PER_SECOND,
      },
      log,
      make,
    );
    this.#asteriskPorts = new AsteriskPorts(portNeeds(config).asterisk);
    const { RECORDS_DIR: directory, RECORDS_DAYS: days, RECORDS_MAX_MB: maxMegabytes } = config;
    this.#records = new RecordStore({ directory, process: instance, days, maxMegabytes }, log, (records) => {
      log.warn({ calls: records.length }, 'the previous process died during calls');
      this.#switchboard.adopt(records);
    });
    const recordWriter = new RecordWriter(this.#records, config.RECORDS_STDOUT, log);
    this.#callbacks = new StatusCallbacks(
      { secret: config.CALLBACK_SECRET, tries: config.CALLBACK_TRIES, hosts: config.CALLBACK_HOSTS },
      this.#records,
      log,
    );
    this.#recordings = new Retention({
      directory: config.RECORDINGS_DIR,
      maxTotalBytes: config.RECORDINGS_MAX_MB * MEGABYTE,
      maxAgeMs: config.RECORDINGS_DAYS * DAY_MS,
      onRemoved: (names) => log.info({ recordings: names }, 'recordings removed by age or size'),
      onError: (error) => log.error({ error: error.message }, 'recordings could not be looked through'),
    });
    this.#metrics = new Metrics({
      callsActive: () => this.#switchboard.callsActive,
      media: () => this.#media,
      ariUp: () => this.#ariProblem === undefined,
      callbacks: () => this.#callbacks,
      records: () => this.#records,
      eventStreams: () => this.#changes,
      takeovers: () => this.#events.takeovers,
      recordingsStoredBytes: () => this.#recordings.storedBytes,
      gateClosed: () => this.#gate.why !== undefined,
    });
    this.#gate = new Gate({
      ari: this.#ari,
      app: config.ARI_APP,
      limits: { loopMs: config.OVERLOAD_LOOP_MS, lateTicksPercent: config.OVERLOAD_LATE_PERCENT },
      providerShare: Math.ceil((config.MAX_CALLS * config.PROVIDER_SHARE_PERCENT) / 100),
      refusal: () => this.#switchboard.refusal,
      ticks: () => this.#media.stats.map(({ pacer }) => pacer),
      onClosed: (why) => this.#metrics.gateClosed(why),
      log,
    });
    this.#switchboard = new Switchboard({
      instance,
      config,
      ari: this.#ari,
      caughtUp: () => this.#events.caughtUp(),
      predecessors: this.#predecessors,
      media: this.#media,
      asteriskPorts: this.#asteriskPorts,
      reports: new CallReports({
        metrics: this.#metrics,
        callbacks: this.#callbacks,
        log,
        onChange: (event, record) => {
          recordWriter.note(record);
          this.#control.changed(record);
          this.#changes.publish(event, record);
        },
      }),
      background: this.#background,
      gate: this.#gate,
      log,
    });
    this.#control = new CallControl({
      config,
      ari: this.#ari,
      switchboard: this.#switchboard,
      records: this.#records,
      ariProblem: () => this.#ariProblem?.why,
    });
  }

  /** The port of the HTTP interface. */
  get httpPort(): number {
    const address = this.#http?.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Whether a thread hangs, as in a disk operation: then only `exitNow` can end the process. */
  get hanging(): boolean {
    return this.#records.hanging || this.#media.hanging;
  }

  /** Opens the HTTP interface and starts connecting to ARI. */
  async start(): Promise<void> {
    const { HTTP_ADDRESS, HTTP_PORT } = this.#config;
    this.#http = await startHttp({
      address: HTTP_ADDRESS,
      port: HTTP_PORT,
      metrics: this.#metrics,
      readiness: () => this.#readiness(),
      configuration: configDigest(this.#config),
      log: this.#log,
      twilio: {
        token: this.#config.BOT_TOKEN ?? this.#config.API_TOKEN,
        hangUp: (callSid) => this.#switchboard.hangUpForBot(callSid),
      },
      api: {
        control: this.#control,
        events: this.#changes,
        token: this.#config.API_TOKEN,
        botToken: this.#config.BOT_TOKEN,
        requestsPerSecond: this.#config.API_REQUESTS_PER_SECOND,
        version,
      },
    });
    // The previous process's records must be read before ARI reports its calls.
    this.#background.run(
      this.#records.ready().then(() => !this.#stopping && this.#events.start()),
      'connect to ARI',
    );
    this.#background.run(this.#callbacks.resume(), 'resume callbacks');
    this.#recordings.start();
    this.#gate.start();
    this.#sweep.start();
    this.#watch = setInterval(
      () => this.#background.run(this.#lookAfterPredecessors(), 'look after predecessors'),
      this.#config.ARI_HEARTBEAT_MS,
    );
    for (const warning of rangeWarnings(portNeeds(this.#config))) this.#log.warn(warning);
    this.#log.info({ http: `${HTTP_ADDRESS}:${this.httpPort}`, ari: this.#config.ARI_URL }, 'bridge started');
  }

  /**
   * Takes no new calls, and waits for those under way: until none is left, for at most
   * `STOP_DRAIN_S`, or until {@link hurry}. Everything else goes on.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    const { STOP_DRAIN_S } = this.#config;
    const endMs = performance.now() + STOP_DRAIN_S * 1_000;
    const { signal } = this.#hurry;
    this.#log.info({ calls: this.#switchboard.callsActive, limitS: STOP_DRAIN_S }, 'bridge draining');
    this.#switchboard.drain();
    while (!this.#switchboard.isIdle && !signal.aborted && performance.now() < endMs)
      await delay(DRAIN_LOOK_MS, undefined, { signal }).catch(() => {});
  }

  /** Takes no new calls for 10 s. To be repeated while the operator waits for the calls. */
  hold(): void {
    this.#switchboard.hold();
  }

  /** Ends the wait of {@link drain} and the last words of {@link stop}. */
  hurry(): void {
    this.#hurry.abort();
    this.#switchboard.cutCalls();
  }

  /**
   * Ends every call after its last words (at most `SHUTDOWN_MS`), releases what they hold, and
   * closes all connections.
   */
  async stop(): Promise<void> {
    this.#draining = true;
    this.#stopping = true;
    this.#sweep.stop();
    clearInterval(this.#watch);
    this.#recordings.stop();
    this.#log.info({ calls: this.#switchboard.callsActive }, 'bridge stopping');
    this.#switchboard.close();
    const limit = setTimeout(() => this.hurry(), this.#config.SHUTDOWN_MS);
    // A call may still be in set-up, and a refused channel still be on its way to the dialplan.
    await this.#background.settle(() => {
      this.#switchboard.endCalls();
      if (this.#hurry.signal.aborted) this.#switchboard.cutCalls();
    });
    clearTimeout(limit);
    await this.#gate.stop();
    await this.#events.stop();
    await this.#callbacks.close(this.#config.SHUTDOWN_MS);
    this.#changes.close();
    await this.#http?.close();
    // At once: the limits of threads that hang do not add up.
    await Promise.all([this.#records.close(), this.#media.close()]);
    await this.#ari.close();
    this.#log.info('bridge stopped');
  }

  #readiness(): ReturnType<typeof readiness> {
    return readiness({
      config: this.#config,
      switchboard: this.#switchboard,
      gate: this.#gate,
      records: this.#records,
      media: this.#media,
      recordings: this.#recordings,
      asteriskPorts: this.#asteriskPorts,
      ari: this.#ari,
      isStopping: this.#draining,
      ariProblem: this.#ariProblem?.why,
    });
  }

  async #ariConnected(): Promise<void> {
    // Before the comparison an order could place a call that is already live.
    this.#ariProblem = { why: 'what Asterisk holds is not known yet' };
    await this.#predecessors.look();
    await this.#switchboard.reconcile();
  }

  #ariReady(): void {
    this.#ariProblem = undefined;
    // After a handover the gate is the successor's.
    if (!this.#switchboard.handingOver.isUnderWay) this.#gate.take();
    this.#log.info('ARI connected');
  }

  /** A successor has the app. Our calls go on; if it ends, new calls come here again. */
  #handedOver(): void {
    this.#switchboard.handingOver.complete();
    this.#log.info({ calls: this.#switchboard.callsActive }, 'handed over to a new process');
  }

  #resumed(why: string): void {
    this.#log.warn({ why }, 'new calls come here again');
    this.#switchboard.handingOver.end();
  }

  /** A predecessor may die: its calls are ours then. */
  async #lookAfterPredecessors(): Promise<void> {
    if (this.#ariProblem !== undefined || this.#stopping || this.#switchboard.handingOver.isUnderWay) return;
    if (await this.#predecessors.look()) await this.#switchboard.reconcile();
  }

  /** A predecessor has died: its live calls and its callbacks are ours. Never rejects. */
  async #recover(): Promise<void> {
    await this.#records.recover().catch((error: Error) => {
      this.#log.error({ error: error.message }, 'records of a process that ended cannot be read');
    });
    this.#background.run(this.#callbacks.resume(), 'resume callbacks');
  }

  #ariDown(why: string): void {
    this.#ariProblem = { why };
    this.#gate.letGo();
    this.#log.error({ why }, 'ARI not connected, trying again');
  }

  /** Another process took our Stasis app, and serves our calls. */
  #takenOver(isElsewhere: (channelId: string) => boolean): void {
    this.#log.error(
      { app: this.#config.ARI_APP, calls: this.#switchboard.callsActive },
      'the Stasis app was taken over by another process',
    );
    this.#switchboard.letGo(isElsewhere);
  }

  /** Ends all calls: Asterisk would cut them, and nobody would know why. The bridge goes on. */
  #asteriskStopping(): void {
    this.#log.warn({ calls: this.#switchboard.callsActive }, 'Asterisk stops, its calls end');
    this.#switchboard.endCalls();
    setTimeout(() => this.#switchboard.cutCalls(), ASTERISK_STOPS_MS).unref();
  }

  /** An unreadable event counts as lost: a comparison finds what it reported. */
  #unreadable(error: Error): void {
    this.#log.warn({ error: error.message }, 'ARI event could not be read');
    this.#sweep.soon();
  }

  async #compare(): Promise<void> {
    if (this.#ariProblem !== undefined || this.#stopping) return;
    await this.#switchboard.reconcile().catch((error: unknown) => {
      // The WebSocket may still be open, but without the Stasis app no event arrives.
      if (error instanceof AriError && error.status === 404) this.#events.reconnect(error.message);
      throw error;
    });
  }
}
