import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ProcessMetrics } from '../reports/summed-metrics.ts';
import type { CallCounts } from '../switchboard/calls-elsewhere.ts';

/** A line of what a process tells its successor, as JSON. */
export type FeedLine =
  | { readonly type: 'counts'; readonly counts: CallCounts }
  /** The process ends: what it has counted. */
  | { readonly type: 'last'; readonly metrics: ProcessMetrics };

/** Changes are told after this time at the latest. */
const LOOK_MS = 100;
/** The last line must reach the successor within this time. */
const FINISH_MS = 1_000;

/** What a process that handed over tells its successor, line by line, until it ends. */
export class ProcessFeed {
  readonly #counts: () => CallCounts;
  readonly #listeners = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | undefined;
  #told = '';

  constructor(counts: () => CallCounts) {
    this.#counts = counts;
  }

  /** Streams to a successor until it disconnects. */
  serve(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    this.#write(response, { type: 'counts', counts: this.#counts() });
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
    for (const response of this.#listeners) this.#write(response, { type: 'counts', counts });
  }

  #write(response: ServerResponse, line: FeedLine): void {
    response.write(`${JSON.stringify(line)}\n`);
  }
}
