import { getPriority, setPriority } from 'node:os';
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { Pacer } from '../audio/pacer.ts';
import { Disk } from '../recording/disk.ts';
import { PortPool } from '../rtp/ports.ts';
import { RtpSockets } from '../rtp/sockets.ts';
import { mediaErrorCode } from './media-error.ts';
import { Relay, type RelayShared } from './relay.ts';
import type { FromWorker, ToWorker, WorkerSettings, WorkerStats } from './worker-messages.ts';

const STATS_EVERY_MS = 1_000;

/**
 * Relays the audio of its share of the calls, in a thread of its own (`media-thread.ts`). It does
 * not use ARI and decides nothing about a call.
 */
export class MediaWorker {
  readonly #send: (message: FromWorker) => void;
  readonly #shared: RelayShared;
  readonly #sessions = new Map<number, Relay>();
  readonly #collections = { count: 0, totalMs: 0, longestMs: 0 };
  readonly #observer: PerformanceObserver;
  readonly #reports: NodeJS.Timeout;

  constructor(settings: WorkerSettings, send: (message: FromWorker) => void) {
    takePriority(settings.priority);
    this.#send = send;
    // An error in a tick is a defect: it ends the thread, which is replaced.
    const onError = (error: unknown) => {
      throw error;
    };
    const pacer = new Pacer({ onError });
    this.#shared = {
      sockets: new RtpSockets(new PortPool(settings.rtpPortMin, settings.rtpPortMax), () => pacer.keepTime()),
      pacer,
      disk: new Disk(),
      now: () => performance.now(),
    };
    this.#observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        this.#collections.count += 1;
        this.#collections.totalMs += duration;
        this.#collections.longestMs = Math.max(this.#collections.longestMs, duration);
      }
    });
    this.#observer.observe({ entryTypes: ['gc'] });
    // An error in a report must not end the calls. A missing report shows that the thread hangs.
    const report = () => {
      try {
        send({ type: 'stats', stats: this.#stats() });
      } catch {}
    };
    report();
    this.#reports = setInterval(report, STATS_EVERY_MS).unref();
  }

  /** Ends the reports. Returns how many sessions are open: those hold on to what they have. */
  close(): number {
    clearInterval(this.#reports);
    this.#observer.disconnect();
    return this.#sessions.size;
  }

  /** Executes one request and replies to it. */
  async handle(message: ToWorker): Promise<void> {
    try {
      const value = await this.#carryOut(message);
      if (message.id !== 0) this.#send({ type: 'reply', id: message.id, value });
    } catch (error) {
      const code = mediaErrorCode(error as { readonly code?: unknown });
      if (message.id !== 0)
        this.#send({ type: 'failure', id: message.id, code, message: (error as Error).message });
    }
  }

  async #carryOut({ session, request }: ToWorker): Promise<unknown> {
    if (request.method === 'open') {
      const media = await Relay.open(request.settings, this.#shared, (event) =>
        this.#send({ type: 'event', session, event, hasBot: media.hasBot }),
      );
      this.#sessions.set(session, media);
      return media.rtpPort;
    }
    const media = this.#sessions.get(session);
    switch (request.method) {
      case 'connectRtp':
        return media?.connectRtp(request.address, request.port);
      case 'connectSocket':
        return media?.connectSocket(request.url, request.authorization);
      case 'connectBot':
        return media?.connectBot(request.mayTry);
      case 'mayTry':
        return media?.mayTry();
      case 'botSettled':
        return media?.botSettled();
      case 'startRelay':
        return media?.startRelay();
      case 'tellBot':
        return media?.tellBot(request.message);
      case 'dismissBot':
        return media?.dismissBot(request.message);
      case 'hangUp':
        return media?.hangUp();
      case 'record':
        return media?.record(request.state);
      case 'drain':
        return media?.drain();
      case 'playedOut':
        return media?.playedOut();
      case 'expectAudio':
        return media?.expectAudio(request.isExpected);
      case 'lineLives':
        return media?.lineLives();
      case 'figures':
        return media?.figures();
      case 'close':
        await media?.close();
        this.#sessions.delete(session);
    }
  }

  #stats(): WorkerStats {
    return {
      pacer: this.#shared.pacer.stats,
      recording: this.#shared.disk.stats,
      datagramsRefused: this.#shared.sockets.refused,
      collections: this.#collections,
      // Not process.memoryUsage(), which opens a file.
      heapBytes: getHeapStatistics().used_heap_size,
    };
  }
}

/**
 * A thread starts with the priority of the thread that made it. That one may have lowered its own
 * since, unless it is the nursery.
 */
function takePriority(priority: number): void {
  try {
    if (getPriority(0) !== priority) setPriority(0, priority);
  } catch {
    // Not permitted (RLIMIT_NICE): the audio then has the priority of control.
  }
}
