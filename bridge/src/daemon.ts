import { randomBytes } from 'node:crypto';
import packageJson from '../package.json' with { type: 'json' };
import type { AriAccess } from './ari/access.ts';
import { AriClient } from './ari/client.ts';
import { type Config, portNeeds } from './config/environment.ts';
import { type ConfigChange, LiveConfig } from './config/live-config.ts';
import { rangeWarnings } from './config/port-ranges.ts';
import { CallControl } from './control/call-control.ts';
import { readiness } from './control/readiness.ts';
import { writeReloadReport } from './control/reload-report.ts';
import { type Reload, Reloading } from './control/reloading.ts';
import { EventStream } from './http/event-stream.ts';
import { type HttpInterface, startHttp } from './http/server.ts';
import type { Logger } from './log.ts';
import { type MakeWorker, makeWorker } from './media/make-worker.ts';
import { MediaPool } from './media/pool.ts';
import { Retention } from './recording/retention.ts';
import { type MakeStore, makeStore } from './records/make-store.ts';
import { RecordWriter } from './records/record-writer.ts';
import { RecordStore } from './records/store.ts';
import { StatusCallbacks } from './reports/callbacks.ts';
import { Metrics } from './reports/metrics.ts';
import type { OverdueWatch } from './reports/overdue.ts';
import { RecordChanges } from './reports/record-changes.ts';
import { CallReports } from './reports/reports.ts';
import { AsteriskLink } from './switchboard/asterisk-link.ts';
import { AsteriskPorts } from './switchboard/asterisk-ports.ts';
import { Background } from './switchboard/background.ts';
import { CallsElsewhere } from './switchboard/calls-elsewhere.ts';
import { departing } from './switchboard/departing.ts';
import { Departure } from './switchboard/departure.ts';
import { Gate } from './switchboard/gate.ts';
import { Switchboard } from './switchboard/switchboard.ts';
import { DAY_MS, MEGABYTE } from './units/units.ts';

const { version } = packageJson;

/** What makes the daemon's threads. */
export interface Threads {
  readonly media: MakeWorker;
  readonly records: MakeStore;
}

/**
 * Starts the bridge: one connection to Asterisk, one call object for each caller's channel. Rejects
 * if the HTTP port is in use. ARI may be unavailable: connecting is retried. `threads` makes the
 * threads; by default this thread does.
 */
export async function startDaemon(
  config: Config,
  log: Logger,
  threads: Partial<Threads> = {},
): Promise<Daemon> {
  const daemon = new Daemon(config, log, { media: makeWorker, records: makeStore, ...threads });
  await daemon.start();
  return daemon;
}

/** Length of the process's random id, bytes. */
const INSTANCE_BYTES = 4;
/** How often the provider files that Asterisk goes by are compared with ours. */
const FOLLOW_MS = 10_000;

/** A running bridge: creates its parts, and stops them in order. */
export class Daemon {
  /** The values of now: a reload may change them. */
  readonly #config: Config;
  readonly #reloading: Reloading;
  readonly #log: Logger;
  readonly #background: Background;
  readonly #ari: AriClient;
  readonly #link: AsteriskLink;
  readonly #media: MediaPool;
  readonly #asteriskPorts: AsteriskPorts;
  readonly #metrics: Metrics;
  readonly #recordings: Retention;
  readonly #records: RecordStore;
  readonly #recordChanges: RecordChanges;
  readonly #callbacks: StatusCallbacks;
  readonly #gate: Gate;
  readonly #switchboard: Switchboard;
  readonly #control: CallControl;
  /** Event ids are unique to this process. Ids of a previous process are not valid. */
  readonly #changes = new EventStream(Date.now().toString(36));
  /** Calls of processes that handed over to this one. */
  readonly #elsewhere = new CallsElsewhere();
  readonly #instance = randomBytes(INSTANCE_BYTES).toString('hex');
  #http: HttpInterface | undefined;
  /** When the process ends, and how. */
  readonly departure: Departure;
  /** The last words of the calls are not waited for any more. */
  #isHurried = false;

  constructor(initial: Config, log: Logger, threads: Threads) {
    const live = new LiveConfig(initial);
    const { config } = live;
    this.#config = config;
    this.#log = log;
    this.#background = new Background(log);
    const access: AriAccess = {
      url: config.ARI_URL,
      username: config.ARI_USERNAME,
      password: config.ARI_PASSWORD,
      app: config.ARI_APP,
      timeoutMs: config.ARI_TIMEOUT_MS,
    };
    this.#ari = new AriClient(access);
    this.#reloading = new Reloading({
      live,
      apply: (change) => this.#apply(change),
      ari: this.#ari,
      report: writeReloadReport,
      log,
    });
    const instance = this.#instance;
    this.#media = new MediaPool(
      {
        workers: config.MEDIA_WORKERS,
        rtpPortMin: config.RTP_PORT_MIN,
        rtpPortMax: config.RTP_PORT_MAX,
        botConnectsPerSecond: config.BOT_CONNECTS_PER_SECOND,
      },
      log,
      threads.media,
    );
    this.#asteriskPorts = new AsteriskPorts(portNeeds(config).asterisk);
    const { RECORDS_DIR: directory, RECORDS_DAYS: days, RECORDS_MAX_MB: maxMegabytes } = config;
    const kept = { directory, process: instance, days, maxMegabytes };
    this.#records = new RecordStore(kept, log, (left) => this.#switchboard.adopt(left), threads.records);
    this.#recordChanges = new RecordChanges({
      store: this.#records,
      writer: new RecordWriter(this.#records, () => config.RECORDS_STDOUT, log),
      onChange: (event, record) => {
        this.#control.changed(record);
        this.#changes.publish(event, record);
      },
      waitFor: (told) => this.#background.run(told, 'end a call that was left'),
    });
    this.#callbacks = new StatusCallbacks(
      {
        get secret() {
          return config.CALLBACK_SECRET;
        },
        get tries() {
          return config.CALLBACK_TRIES;
        },
        get hosts() {
          return config.CALLBACK_HOSTS;
        },
      },
      this.#records,
      log,
    );
    this.#recordings = new Retention({
      directory: config.RECORDINGS_DIR,
      get maxTotalBytes() {
        return config.RECORDINGS_MAX_MB * MEGABYTE;
      },
      get maxAgeMs() {
        return config.RECORDINGS_DAYS * DAY_MS;
      },
      onRemoved: (names) => log.info({ recordings: names }, 'recordings removed by age or size'),
      onError: (error) => log.error({ error: error.message }, 'recordings could not be looked through'),
    });
    this.#metrics = new Metrics({
      callsActive: () => this.#switchboard.running.all.size,
      predecessors: () => this.#elsewhere.processes,
      media: () => this.#media,
      ariUp: () => this.#link.problem === undefined,
      overdue: () => this.overdue,
      callbacks: () => this.#callbacks,
      records: () => this.#records,
      eventStreams: () => this.#changes,
      takeovers: () => this.#link.takeovers,
      recordingsStoredBytes: () => this.#recordings.storedBytes,
      gateClosed: () => this.#gate.why !== undefined,
    });
    this.#gate = new Gate({
      ari: this.#ari,
      app: config.ARI_APP,
      limits: {
        get loopMs() {
          return config.OVERLOAD_LOOP_MS;
        },
        get lateTicksPercent() {
          return config.OVERLOAD_LATE_PERCENT;
        },
      },
      providerShare: () => Math.ceil((config.MAX_CALLS * config.PROVIDER_SHARE_PERCENT) / 100),
      refusal: () => this.#switchboard.admission.refusal,
      ticks: () => this.#media.stats.map(({ pacer }) => pacer),
      onClosed: (why) => this.#metrics.gateClosed(why),
      log,
    });
    this.#link = new AsteriskLink({
      instance,
      config,
      access,
      ari: this.#ari,
      records: this.#records,
      callbacks: this.#callbacks,
      gate: this.#gate,
      switchboard: () => this.#switchboard,
      processes: () => this.#http,
      background: this.#background,
      log,
    });
    this.#switchboard = new Switchboard({
      instance,
      config,
      ari: this.#ari,
      caughtUp: () => this.#link.caughtUp(),
      predecessors: this.#link.predecessors,
      elsewhere: this.#elsewhere,
      media: this.#media,
      asteriskPorts: this.#asteriskPorts,
      reports: new CallReports({
        metrics: this.#metrics,
        callbacks: this.#callbacks,
        log,
        onChange: (event, record) => this.#recordChanges.changed(event, record),
        onEndedLate: (record) => this.#recordChanges.endedLate(record),
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
      ariProblem: () => this.#link.problem,
      elsewhere: {
        record: async (id) => await this.#http?.elsewhere.record(id),
        records: async () => (await this.#http?.elsewhere.records()) ?? [],
      },
    });
    this.departure = new Departure(
      departing(this.#switchboard, this.#link, () => this.#hurry()),
      config,
      log,
    );
  }

  /** The port of the HTTP interface. */
  get httpPort(): number {
    return this.#http?.port ?? 0;
  }

  /** Whether a thread hangs, as in a disk operation: then only `exitNow` can end the process. */
  get hanging(): boolean {
    return this.#records.hanging || this.#media.hanging;
  }

  /** `SHUTDOWN_MS` of now. */
  get shutdownMs(): number {
    return this.#config.SHUTDOWN_MS;
  }

  /** The watch over releases and tasks that do not end. */
  get overdue(): OverdueWatch {
    return this.#background.overdue;
  }

  /** Opens the HTTP interface and starts connecting to ARI. */
  async start(): Promise<void> {
    const { HTTP_ADDRESS } = this.#config;
    this.#http = await startHttp({
      config: this.#config,
      instance: this.#instance,
      metrics: this.#metrics,
      readiness: () => this.#readiness(),
      hangUp: (callSid) => this.#switchboard.hangUpForBot(callSid),
      control: this.#control,
      counts: () => this.#switchboard.counts,
      elsewhere: this.#elsewhere,
      calls: () => this.#switchboard.live.records,
      events: this.#changes,
      log: this.#log,
      version,
    });
    this.#link.start();
    this.#background.run(this.#callbacks.resume(), 'resume callbacks');
    this.#recordings.start();
    this.#gate.start();
    for (const warning of rangeWarnings(portNeeds(this.#config))) this.#log.warn(warning);
    this.#log.info({ http: `${HTTP_ADDRESS}:${this.httpPort}`, ari: this.#config.ARI_URL }, 'bridge started');
  }

  /**
   * Applies what has changed in the configuration, without a restart. `load` reads it. Calls under
   * way go on with what they began with.
   */
  async reload(load: () => Config): Promise<Reload> {
    return await this.#reloading.reload(load);
  }

  /** Keeps to the provider files that Asterisk goes by. `load` as above. */
  followAsterisk(load: () => Config, everyMs = FOLLOW_MS): void {
    this.#reloading.follow(load, everyMs);
  }

  /** What acts at once on a change. Everything else reads a value when it needs it. */
  #apply({ applied }: ConfigChange): void {
    const { RECORDS_DAYS: days, RECORDS_MAX_MB: maxMegabytes } = this.#config;
    if (applied.includes('LOG_LEVEL')) this.#log.level = this.#config.LOG_LEVEL;
    this.#media.botAccess.perSecond = this.#config.BOT_CONNECTS_PER_SECOND;
    this.#records.limit({ days, maxMegabytes });
    this.#link.compareEvery(this.#config.RECONCILE_MS);
    this.#gate.limitsChanged();
    this.#background.run(this.#recordings.sweep(), 'look through recordings');
  }

  /** Takes no new calls for 10 s. To be repeated while the operator waits for the calls. */
  suspendCalls(): void {
    this.#switchboard.admission.suspend();
  }

  #hurry(): void {
    this.#isHurried = true;
    this.#switchboard.running.cutAll();
  }

  /**
   * Ends every call after its last words (at most `SHUTDOWN_MS`), releases what they hold, and
   * closes all connections.
   */
  async stop(): Promise<void> {
    this.#beginEnd('bridge stopping');
    this.#switchboard.close();
    const limit = setTimeout(() => this.#hurry(), this.#config.SHUTDOWN_MS);
    // A call may still be in set-up, and a refused channel still be on its way to the dialplan.
    await this.#background.settle(() => {
      this.#switchboard.running.endAll();
      if (this.#isHurried) this.#switchboard.running.cutAll();
    });
    clearTimeout(limit);
    await this.#gate.stop();
    await this.#link.close();
    await this.#close();
  }

  /**
   * Ends this process's part in every call, and changes nothing in Asterisk: another process that
   * runs, or starts, adopts the calls with their records.
   */
  async leave(): Promise<void> {
    this.#beginEnd('bridge leaves its calls to another process');
    await this.#gate.stop();
    // The end of this process frees its records then, and others see it.
    if (!(await this.#recordChanges.leave())) throw new Error('the disk of the records does not answer');
    await this.#link.leave();
    await this.#background.settle(() => {});
    await this.#close();
  }

  #beginEnd(what: string): void {
    this.#reloading.stop();
    this.#link.stopComparing();
    this.#recordings.stop();
    this.#log.info({ calls: this.#switchboard.running.all.size }, what);
  }

  async #close(): Promise<void> {
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
      elsewhere: this.#elsewhere,
      gate: this.#gate,
      records: this.#records,
      media: this.#media,
      recordings: this.#recordings,
      asteriskPorts: this.#asteriskPorts,
      ari: this.#ari,
      ariProblem: this.#link.problem,
      isPortBlocked: this.#http?.isBlocked === true,
      wasReloadRefused: this.#reloading.wasRefused,
    });
  }
}
