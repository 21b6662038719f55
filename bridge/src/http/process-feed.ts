import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ProcessMetrics } from '../reports/summed-metrics.ts';
import type { CallCounts } from '../switchboard/calls-elsewhere.ts';
import { MEBIBYTE } from '../units/units.ts';
import type { EventStream } from './event-stream.ts';
import type { FeedLine } from './feed-line.ts';

/** Changes are told after this time at the latest. */
const LOOK_MS = 100;
/** More than all past events. */
const UNREAD_MAX_BYTES = 32 * MEBIBYTE;
/** The last line must reach the successor within this time. */
const FINISH_MS = 1_000;

/** What a process that handed over tells its successor, line by line, until it ends. */
export class ProcessFeed {
  readonly #counts: () => CallCounts;
  readonly #events: EventStream;
  readonly #listeners = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | undefined;
  #told = '';

  constructor(counts: () => CallCounts, events: EventStream) {
    this.#counts = counts;
    this.#events = events;
    events.follow((event) => this.#tell({ type: 'event', event }));
  }

  /** Streams to a successor until it disconnects. */
  serve(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (const event of this.#events.shared) this.#write(response, { type: 'event', event });
    this.#write(response, this.#countsLine(this.#counts()));
    this.#listeners.add(response);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    response.on('error', () => {});
    response.on('close', () => {
      this.#listeners.delete(response);
      if (this.#listeners.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
  }

  /** The process ends. Resolves when the successors have the last lines. */
  async finish(metrics: () => Promise<ProcessMetrics>): Promise<void> {
    if (this.#listeners.size === 0) return;
    const last: FeedLine = { type: 'last', metrics: await metrics() };
    this.#look();
    const ended = [...this.#listeners].map(async (response) => {
      this.#write(response, last);
      response.end();
      await once(response, 'close', { signal: AbortSignal.timeout(FINISH_MS) }).catch(() => {});
    });
    await Promise.all(ended);
  }

  #look(): void {
    const counts = this.#counts();
    const text = JSON.stringify(counts);
    if (text === this.#told) return;
    this.#told = text;
    this.#tell(this.#countsLine(counts));
  }

  #countsLine(counts: CallCounts): FeedLine {
    return { type: 'counts', stream: this.#events.process, counts };
  }

  /** A successor that does not read is cut off. It asks again, and gets all past events. */
  #tell(line: FeedLine): void {
    for (const response of this.#listeners) {
      if (response.writableLength > UNREAD_MAX_BYTES) response.destroy();
      else this.#write(response, line);
    }
  }

  #write(response: ServerResponse, line: FeedLine): void {
    response.write(`${JSON.stringify(line)}\n`);
  }
}
