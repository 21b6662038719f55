import { fetch } from 'undici';
import type { CallRecord } from '../records/record.ts';
import type { ProcessMetrics, SummedMetrics } from '../reports/summed-metrics.ts';
import type { CallsElsewhere } from '../switchboard/calls-elsewhere.ts';
import type { EventStream } from './event-stream.ts';
import { parseMetrics } from './feed-line.ts';
import { FeedReader } from './feed-reader.ts';
import { type OtherProcess, parseAddress } from './private-address.ts';

/** Prometheus waits for all metrics. */
const SCRAPE_MS = 1_000;
/** A process on the same machine answers within this time, or it hangs. */
const ANSWER_MS = 3_000;

/** A process that handed over to us. */
interface Predecessor extends OtherProcess {
  readonly feed: FeedReader;
  /** As they were last. */
  metrics: ProcessMetrics;
  hasEnded: boolean;
}

/** Processes that handed over to us and still live: how they are reached, and what they tell. */
export class OtherProcesses {
  readonly #elsewhere: CallsElsewhere;
  readonly #events: EventStream;
  readonly #metrics: SummedMetrics;
  readonly #all = new Map<string, Predecessor>();

  /** `metrics` keep what a process has counted when it has ended. */
  constructor(elsewhere: CallsElsewhere, events: EventStream, metrics: SummedMetrics) {
    this.#elsewhere = elsewhere;
    this.#events = events;
    this.#metrics = metrics;
  }

  get all(): readonly OtherProcess[] {
    return [...this.#all.values()];
  }

  /**
   * These processes live, and no others. Addresses by id, as their claims have them. Resolves when
   * new ones have told what they have, or do not answer.
   */
  async update(addresses: ReadonlyMap<string, string>): Promise<void> {
    for (const instance of this.#all.keys()) if (!addresses.has(instance)) this.#forget(instance);
    for (const [instance, text] of addresses) if (!this.#all.has(instance)) this.#meet(instance, text);
    await Promise.all([...this.#all.values()].map(({ feed }) => feed.ready));
  }

  /** They are a successor's now, or this process ends. */
  letGo(): void {
    for (const instance of this.#all.keys()) this.#drop(instance);
  }

  /** Their metrics, by id. Of one that does not answer, as they were last. */
  async metrics(): Promise<ReadonlyMap<string, ProcessMetrics>> {
    const asked = [...this.#all.values()].map(async (other) => {
      if (other.hasEnded) return [other.instance, other.metrics] as const;
      const answer = askProcess(other, 'GET', '/process/metrics', undefined, SCRAPE_MS);
      const metrics = await answer.then(parseMetrics).catch(() => undefined);
      // The last ones may have come meanwhile.
      if (metrics !== undefined && !other.hasEnded) other.metrics = metrics;
      return [other.instance, other.metrics] as const;
    });
    return new Map(await Promise.all(asked));
  }

  /** Records of their calls, of those that answer. */
  async records(): Promise<readonly CallRecord[]> {
    const asked = this.all.map(async (other) => {
      const calls = await askProcess(other, 'GET', '/process/calls').catch(() => []);
      return Array.isArray(calls) ? (calls as CallRecord[]) : [];
    });
    return (await Promise.all(asked)).flat();
  }

  /** The record of a call that one of them has. Rejects if one does not answer. */
  async record(id: string): Promise<CallRecord | undefined> {
    const path = `/calls/${encodeURIComponent(id)}`;
    const asked = this.all.map(async (other) => {
      try {
        return (await askProcess(other, 'GET', path)) as CallRecord;
      } catch (error) {
        if ((error as Partial<ProcessRefused>).status === 404) return undefined;
        throw error;
      }
    });
    return (await Promise.all(asked)).find((record) => record !== undefined);
  }

  #meet(instance: string, text: string): void {
    const address = parseAddress(text);
    if (address === undefined) return;
    const feed = new FeedReader({ instance, address }, (line) => {
      if (line.type === 'event') return this.#events.republish(line.event);
      if (line.type === 'last') {
        other.metrics = line.metrics;
        other.hasEnded = true;
        // A successor may ask for ours before we see that this process is gone.
        return this.#metrics.retain(instance, line.metrics);
      }
      this.#events.meet(line.stream);
      this.#elsewhere.report(instance, line.counts);
    });
    const other: Predecessor = {
      instance,
      address,
      feed,
      metrics: this.#metrics.revive(instance),
      hasEnded: false,
    };
    this.#all.set(instance, other);
  }

  #forget(instance: string): void {
    this.#metrics.retain(instance, this.#all.get(instance)?.metrics ?? []);
    this.#drop(instance);
  }

  #drop(instance: string): void {
    this.#all.get(instance)?.feed.stop();
    this.#all.delete(instance);
    this.#elsewhere.forget(instance);
  }
}

/** Asks another process. Rejects if it does not answer within 3 s, or with an error. */
export async function askProcess(
  { address: { port, secret } }: OtherProcess,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
  limitMs = ANSWER_MS,
): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(limitMs),
  });
  if (!response.ok) throw new ProcessRefused(response.status);
  return await response.json();
}

/** Another process refused a request. */
class ProcessRefused extends Error {
  override name = 'ProcessRefused';
  readonly status: number;

  constructor(status: number) {
    super(`HTTP status ${status}`);
    this.status = status;
  }
}
