import { fetch } from 'undici';
import type { CallRecord } from '../records/record.ts';
import type { CallsElsewhere } from '../switchboard/calls-elsewhere.ts';
import { FeedReader } from './feed-reader.ts';
import { type OtherProcess, parseAddress } from './private-address.ts';

/** A process on the same machine answers within this time, or it hangs. */
const ANSWER_MS = 3_000;

/** Processes that handed over to us and still live: how they are reached, and what they tell. */
export class OtherProcesses {
  readonly #elsewhere: CallsElsewhere;
  readonly #all = new Map<string, OtherProcess & { readonly feed: FeedReader }>();

  constructor(elsewhere: CallsElsewhere) {
    this.#elsewhere = elsewhere;
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

  /** Reads no more. */
  close(): void {
    for (const { feed } of this.#all.values()) feed.stop();
  }

  /** Records of their calls, of those that answer. */
  async records(): Promise<readonly CallRecord[]> {
    const asked = this.all.map((other) => askProcess(other, 'GET', '/process/calls').catch(() => []));
    return (await Promise.all(asked)).flat() as CallRecord[];
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
    const other = { instance, address };
    const feed = new FeedReader(other, (line) => this.#elsewhere.report(instance, line.counts));
    this.#all.set(instance, { ...other, feed });
  }

  #forget(instance: string): void {
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
): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_MS),
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
