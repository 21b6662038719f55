import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer, json } from 'node:stream/consumers';
import { z } from 'zod';
import { type Bot, nowMs } from './bot.ts';
import { LIVE } from './clip.ts';
import { decode } from './format.ts';
import { type CallRecord, MILESTONES } from './record.ts';
import type { Store } from './store.ts';

const MAX_WAIT_MS = 120_000;
const MAX_LISTED = 100;

const getSchema = z.object({
  attempt: z.coerce.number().int().min(1).optional(),
  wait: z.enum(MILESTONES).optional(),
  timeout_ms: z.coerce.number().int().min(0).max(MAX_WAIT_MS).default(10_000),
});
const messagesSchema = z.union([
  z.record(z.string(), z.unknown()).transform((message) => [message]),
  z.array(z.record(z.string(), z.unknown())).max(1000),
]);
const ms = z.coerce.number().min(0).max(120_000);
const paceSchema = z.object({
  chunk_ms: ms.default(LIVE.chunkMs),
  interval_ms: ms.default(LIVE.intervalMs),
  grid_ms: ms.default(LIVE.gridMs),
});
const closeSchema = z.coerce.number().int().min(1000).max(4999).default(1000);

type Reply = [status: number, body: unknown];

/**
 * The inspection API: what the mock saw and heard, and requests that make it act. The README has
 * the list.
 */
export class Api {
  #store: Store;
  #botOf: (record: CallRecord) => Bot | undefined;

  /** `botOf` gives the live bot of a record. */
  constructor(store: Store, botOf: (record: CallRecord) => Bot | undefined) {
    this.#store = store;
    this.#botOf = botOf;
  }

  /** Answers one request with JSON. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [status, body] = await this.#route(request).catch(
      (error: unknown): Reply => [400, { error: String(error) }],
    );
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(body)}\n`);
  }

  async #route(request: IncomingMessage): Promise<Reply> {
    const url = new URL(request.url ?? '/', 'http://mock');
    const query = Object.fromEntries(url.searchParams);
    const [first, id, action] = url.pathname.slice(1).split('/').map(decodeURIComponent);
    const route = `${request.method} /${first}${id ? '/id' : ''}${action ? `/${action}` : ''}`;
    if (route === 'GET /healthz') return [200, { status: 'ok' }];
    if (route === 'GET /calls') return [200, this.#list(query)];
    if (route === 'DELETE /calls') {
      this.#store.reset();
      return [200, []];
    }
    if (route === 'GET /calls/id') return this.#get(id ?? '', query);
    if (route === 'POST /calls/id/send')
      return this.#act(id ?? '', messagesSchema.parse(await json(request)));
    if (route === 'POST /calls/id/say') return this.#say(id ?? '', await buffer(request), query);
    if (route === 'POST /calls/id/close') return this.#closeCall(id ?? '', closeSchema.parse(query.code));
    return [404, { error: `there is no ${request.method} ${url.pathname}` }];
  }

  #list(query: Record<string, string>) {
    const wanted = Object.entries(query);
    return this.#store
      .list()
      .filter(({ request }) => wanted.every(([name, value]) => request.query[name] === value))
      .slice(0, MAX_LISTED)
      .map((record) => record.view());
  }

  async #get(id: string, query: Record<string, string>): Promise<Reply> {
    const { wait, timeout_ms, attempt } = getSchema.parse(query);
    if (wait === undefined) {
      const record = this.#store.find(id, attempt);
      return record ? [200, record.view()] : [404, { error: 'no such call' }];
    }
    const record = await this.#store.wait(id, wait, timeout_ms);
    if (record) return [200, record.view()];
    return [408, { error: `not ${wait} within ${timeout_ms} ms`, call: this.#store.find(id)?.view() }];
  }

  #act(id: string, messages: Record<string, unknown>[]): Reply {
    const record = this.#store.find(id);
    const bot = record && this.#botOf(record);
    if (!bot) return [409, { error: 'no such call, or it has no connection' }];
    for (const message of messages) bot.send(message);
    return [200, { sent: messages.length }];
  }

  #say(id: string, audio: Buffer, query: Record<string, string>): Reply {
    const { chunk_ms: chunkMs, interval_ms: intervalMs, grid_ms: gridMs } = paceSchema.parse(query);
    const record = this.#store.find(id);
    const bot = record && this.#botOf(record);
    if (!bot) return [409, { error: 'no such call, or it has no connection' }];
    const atMs = nowMs();
    bot.say(decode(audio, bot.start.encoding), { chunkMs, intervalMs, gridMs });
    return [200, { atMs }];
  }

  #closeCall(id: string, code: number): Reply {
    const record = this.#store.find(id);
    const bot = record && this.#botOf(record);
    if (!bot) return [409, { error: 'no such call, or it has no connection' }];
    bot.close(code);
    return [200, { closed: code }];
  }
}
