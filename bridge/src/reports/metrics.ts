import { type Aggregator, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CallResult } from '../call/result.ts';
import type { BotAccess } from '../media/bot-access.ts';
import type { MediaPool } from '../media/pool.ts';
import type { WorkerStats } from '../media/worker-messages.ts';
import type { RecordStore } from '../records/store.ts';
import type { StatusCallbacks } from './callbacks.ts';
import { OVERDUE_KINDS, type OverdueWatch } from './overdue.ts';

/** Values that are read at each scrape. */
export interface MetricSources {
  readonly callsActive: () => number;
  /** Processes that handed over to this one and still have calls. */
  readonly predecessors: () => number;
  readonly media: () => MediaPool;
  readonly ariUp: () => boolean;
  readonly recordingsStoredBytes: () => number;
  /** Whether new calls are turned away by Asterisk. */
  readonly gateClosed: () => boolean;
  readonly overdue: () => OverdueWatch;
  readonly callbacks: () => StatusCallbacks;
  readonly records: () => RecordStore;
  /** How often another process took the Stasis app, and how often this process got it back. */
  readonly takeovers: () => { readonly lost: number; readonly regained: number };
  /** Listeners of `GET /events`, and listeners that were disconnected because they did not read. */
  readonly eventStreams: () => { listeners: number; dropped: number };
}

/** Begins the name of each metric that is ours. */
export const PREFIX = 'pipecat_bridge_';
/**
 * Gauges of prom-client that are named like counters. They are the sums of `nodejs_active_handles`,
 * `nodejs_active_requests` and `nodejs_active_resources`, which stay.
 */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);
const SETUP_BUCKETS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/**
 * The process's Prometheus metrics, with the Node.js defaults (event loop, garbage collection, file
 * descriptors).
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #ended = new Counter({
    name: `${PREFIX}calls_ended_total`,
    help: 'Calls ended, by reason, who ended them and direction',
    labelNames: ['reason', 'by', 'direction'],
    registers: [this.registry],
  });
  readonly #refused = new Counter({
    name: `${PREFIX}calls_refused_total`,
    help: 'Calls not taken, by why',
    labelNames: ['why'],
    registers: [this.registry],
  });
  readonly #gateClosings = new Counter({
    name: `${PREFIX}gate_closings_total`,
    help: 'Times that Asterisk was told to turn new calls away, by why',
    labelNames: ['why'],
    registers: [this.registry],
  });
  readonly #dials = new Counter({
    name: `${PREFIX}dials_failed_total`,
    help: 'Outbound dials that were not answered, by outcome',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  readonly #forwards = new Counter({
    name: `${PREFIX}forwards_refused_total`,
    help: 'Outbound dials that the callee’s side forwarded to somewhere else (SIP 3xx), which is refused',
    registers: [this.registry],
  });
  readonly #transfers = new Counter({
    name: `${PREFIX}transfers_total`,
    help: 'Transfers completed, failed or refused, by why',
    labelNames: ['status', 'reason'],
    registers: [this.registry],
  });
  readonly #setup = new Histogram({
    name: `${PREFIX}setup_seconds`,
    help: 'From the offer of a call to the relay in both directions',
    buckets: SETUP_BUCKETS_S,
    registers: [this.registry],
  });
  readonly #media = new Counter({
    name: `${PREFIX}media_total`,
    help: 'What the relays counted, added up when their calls end; the unit is in the name of the figure',
    labelNames: ['figure'],
    registers: [this.registry],
  });
  readonly #refusedMessages = new Counter({
    name: `${PREFIX}bot_messages_refused_total`,
    help: 'Messages of bots that could not be understood, by code',
    labelNames: ['code'],
    registers: [this.registry],
  });

  readonly #unauthorized = new Counter({
    name: `${PREFIX}http_unauthorized_total`,
    help: 'Requests without a right token, by route',
    labelNames: ['route'],
    registers: [this.registry],
  });

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    this.#gauge('calls_active', 'Calls from offer to release', sources.callsActive);
    this.#gauge(
      'gate_closed',
      '1 while Asterisk turns new calls away',
      () => Number(sources.gateClosed()),
      'first',
    );
    this.#gauge('bot_connections', 'WebSockets open to bots', () => sources.media().usage.bots);
    this.#botMetrics(() => sources.media().botAccess);
    this.#gauge('rtp_ports_in_use', 'UDP ports that carry calls', () => sources.media().usage.rtpPorts);
    this.#counter('media_workers_replaced_total', 'Media workers that died', () => sources.media().deaths);
    this.#gauge(
      'ari_up',
      '1 while the ARI events socket is open and what Asterisk holds is known',
      () => Number(sources.ariUp()),
      'first',
    );
    this.#gauge(
      'recordings_stored_bytes',
      'Recordings on disk, at the last look',
      sources.recordingsStoredBytes,
      'first',
    );
    this.#gauge(
      'predecessors',
      'Processes that handed over and still have calls',
      sources.predecessors,
      'first',
    );
    this.#gauge('event_streams', 'Listeners to GET /events', () => sources.eventStreams().listeners);
    this.#counter(
      'event_streams_dropped_total',
      'Listeners to GET /events cut off since they did not read',
      () => sources.eventStreams().dropped,
    );
    this.#counter(
      'app_taken_total',
      'Times that another process took the Stasis app',
      () => sources.takeovers().lost,
    );
    this.#counter('app_regained_total', 'Times that it was ours again', () => sources.takeovers().regained);
    this.#workerMetrics(() => sources.media().stats);
    this.#overdueMetrics(sources.overdue);
    this.#callbackMetrics(sources.callbacks);
    this.#recordMetrics(sources.records);
  }

  /** Counts a call that ended. */
  callEnded(result: CallResult, direction: string): void {
    this.#ended.inc({ reason: result.reason.kind, by: result.treatment.by, direction });
    const { joined } = result.stepsMs;
    if (joined !== undefined) this.#setup.observe(joined / 1000);
    const { figures } = result;
    if (figures === undefined) return;
    const media: Record<string, number> = {
      line_packets_received: figures.line.packetsReceived,
      line_packets_sent: figures.line.packetsSent,
      line_packets_lost: figures.line.lost,
      line_packets_late: figures.line.late,
      line_packets_early: figures.line.early,
      line_packets_duplicate: figures.line.duplicates,
      line_packets_malformed: figures.line.malformed,
      line_frames_filled: figures.line.filledFrames,
      line_frames_concealed: figures.line.concealedFrames,
      line_send_errors: figures.line.sendErrors,
      playout_underruns: figures.playout.underruns,
      playout_overflow_bytes: figures.playout.overflowBytes,
      playout_cleared_bytes: figures.playout.clearedBytes,
      bot_media_dropped_messages: figures.droppedMessages,
      bot_pauses: figures.botPauses,
      bot_paused_ms: figures.botPausedMs,
    };
    for (const [figure, value] of Object.entries(media)) this.#media.inc({ figure }, Math.max(0, value));
    for (const [code, count] of Object.entries(figures.refusedMessages))
      this.#refusedMessages.inc({ code }, count);
  }

  /** Counts a call that was offered and refused. */
  callRefused(why: string): void {
    this.#refused.inc({ why });
  }

  /** Counts that the gate closed. */
  gateClosed(why: string): void {
    this.#gateClosings.inc({ why });
  }

  /** Counts a request without a valid token. */
  unauthorized(route: string): void {
    this.#unauthorized.inc({ route });
  }

  /** Counts an outbound dial that was not answered. */
  dialFailed(outcome: string): void {
    this.#dials.inc({ outcome });
  }

  /** Counts a refused forward (SIP 3xx). */
  forwardRefused(): void {
    this.#forwards.inc();
  }

  /** Counts a transfer that completed or failed. A refused transfer counts as failed. */
  transferEnded(status: string, reason = ''): void {
    this.#transfers.inc({ status, reason });
  }

  #botMetrics(access: () => BotAccess): void {
    this.#gauge(
      'bots_down',
      'Bots that cannot be reached, by their URLs',
      () => access().problems.length,
      'max',
    );
    this.#gauge('bot_connects_waiting', 'Calls that wait to connect to such a bot', () => access().waiting);
    this.#counter(
      'bot_connects_failed_total',
      'Tries to connect to a bot that failed',
      () => access().stats.failedTries,
    );
    this.#counter('bot_outages_total', 'Times that a bot was found to be down', () => access().stats.outages);
  }

  #overdueMetrics(watch: () => OverdueWatch): void {
    new Gauge({
      name: `${PREFIX}overdue`,
      help: 'Releases of calls and channels, and tasks, that have not ended within a minute',
      labelNames: ['kind'],
      registers: [this.registry],
      collect() {
        for (const kind of OVERDUE_KINDS) this.set({ kind }, watch().count(kind));
      },
    });
    new Counter({
      name: `${PREFIX}overdue_total`,
      help: 'Releases of calls and channels, and tasks, that did not end within a minute, so far',
      labelNames: ['kind'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const kind of OVERDUE_KINDS) this.inc({ kind }, watch().total[kind]);
      },
    });
  }

  #callbackMetrics(callbacks: () => StatusCallbacks): void {
    this.#counter(
      'callbacks_delivered_total',
      'Status callbacks delivered',
      () => callbacks().stats.delivered,
    );
    this.#counter('callbacks_failed_total', 'Status callbacks given up', () => callbacks().stats.failed);
    this.#counter(
      'callbacks_dropped_total',
      'Status callbacks not tried, too many waiting',
      () => callbacks().stats.dropped,
    );
    this.#gauge('callbacks_pending', 'Status callbacks not delivered yet', () => callbacks().pending);
    this.#counter(
      'callbacks_failed_tries_total',
      'Tries to deliver that failed',
      () => callbacks().stats.failedTries,
    );
  }

  #recordMetrics(records: () => RecordStore): void {
    this.#gauge(
      'records_up',
      '1 while call records can be written',
      () => Number(records().problem === undefined),
      'min',
    );
    this.#counter(
      'records_written_total',
      'Writes of records and callbacks to disk',
      () => records().stats.written,
    );
    this.#gauge('records_waiting', 'Writes that wait for the disk', () => records().waiting);
    this.#counter(
      'records_dropped_total',
      'Writes given up, the disk could not be written',
      () => records().stats.dropped,
    );
  }

  /** Figures of the media workers: a sum, or the highest value. */
  #workerMetrics(workers: () => WorkerStats[]): void {
    const total = (read: (stats: WorkerStats) => number) => () =>
      workers().reduce((sum, stats) => sum + read(stats), 0);
    const worst = (read: (stats: WorkerStats) => number) => () => Math.max(0, ...workers().map(read));
    this.#gauge(
      'recordings_active',
      'Calls being recorded',
      total(({ recording }) => recording.active),
    );
    this.#counter(
      'recordings_written_bytes_total',
      'Audio written by recordings',
      total(({ recording }) => recording.bytes),
    );
    this.#counter(
      'recordings_dropped_seconds_total',
      'Silence in recordings: disk too slow, or file full',
      total(({ recording }) => recording.droppedMs / 1000),
    );
    this.#counter(
      'recordings_failed_total',
      'Recordings that met an error or a limit',
      total(({ recording }) => recording.failures),
    );
    this.#counter(
      'rtp_datagrams_refused_total',
      'Datagrams on RTP ports from somebody that no call expected, or too long',
      total(({ datagramsRefused }) => datagramsRefused),
    );
    this.#counter(
      'pacer_late_ticks_total',
      'Ticks of the 20 ms grid over 5 ms late',
      total(({ pacer }) => pacer.lateTicks),
    );
    this.#counter(
      'pacer_skipped_frames_total',
      'Frames not sent: tick too late',
      total(({ pacer }) => pacer.skippedFrames),
    );
    this.#gauge(
      'pacer_worst_lateness_seconds',
      'Latest tick so far',
      worst(({ pacer }) => pacer.worstLatenessMs / 1000),
      'max',
    );
    this.#counter(
      'media_gc_pauses_total',
      'Garbage collections of the media workers',
      total(({ collections }) => collections.count),
    );
    this.#counter(
      'media_gc_pause_seconds_total',
      'Time spent in garbage collections',
      total(({ collections }) => collections.totalMs / 1000),
    );
    this.#gauge(
      'media_gc_longest_seconds',
      'The longest garbage collection so far',
      worst(({ collections }) => collections.longestMs / 1000),
      'max',
    );
    this.#gauge(
      'media_heap_bytes',
      'JavaScript heap in use',
      total(({ heapBytes }) => heapBytes),
    );
  }

  /** A counter whose value is kept elsewhere. It only rises while the process runs. */
  #counter(name: string, help: string, read: () => number): void {
    new Counter({
      name: `${PREFIX}${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  /** `aggregator`: what becomes of the values of two processes. */
  #gauge(name: string, help: string, read: () => number, aggregator: Aggregator = 'sum'): void {
    new Gauge({
      name: `${PREFIX}${name}`,
      help,
      aggregator,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }
}
