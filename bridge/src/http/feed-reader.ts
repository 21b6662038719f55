import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { type FeedLine, parseFeedLine } from './feed-line.ts';
import type { OtherProcess } from './private-address.ts';

/** What has been so far is told within this time, or is not waited for. */
const FIRST_MS = 1_000;
const RETRY_MS = 200;

/** Reads what a process that handed over tells (`process-feed.ts`), until it is stopped. */
export class FeedReader {
  readonly #other: OtherProcess;
  readonly #onLine: (line: FeedLine) => void;
  readonly #abort = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  /** Resolves when everything so far has been told, or after 1 s. */
  readonly ready: Promise<void>;

  constructor(other: OtherProcess, onLine: (line: FeedLine) => void) {
    this.#other = other;
    this.#onLine = onLine;
    this.ready = Promise.race([this.#first.promise, delay(FIRST_MS, undefined, { ref: false })]);
    void this.#run();
  }

  stop(): void {
    this.#abort.abort();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      await this.#read().catch(() => {});
      await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #read(): Promise<void> {
    const { port, secret } = this.#other.address;
    const headers = { authorization: `Bearer ${secret}` };
    const { signal } = this.#abort;
    const asked = request({
      host: '127.0.0.1',
      port,
      path: '/process/feed',
      headers,
      signal,
      agent: false,
    }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    // Another program may have the port of a process that has ended.
    if (response.statusCode !== 200) {
      response.destroy();
      return;
    }
    for await (const line of createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })) {
      const told = parseFeedLine(line);
      this.#onLine(told);
      if (told.type === 'counts') this.#first.resolve();
    }
  }
}
