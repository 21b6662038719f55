import { createHmac, randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { Agent, type Dispatcher, request } from 'undici';
import type { Outcome } from '../call/outcome.ts';
import { callbackTarget, isUnfit } from '../config/callback-url.ts';
import { NameLookups, type Resolve } from '../dns/name-lookups.ts';
import type { Logger } from '../log.ts';
import type { StoredCallback } from '../records/store-messages.ts';
import { DAY_MS } from '../units/units.ts';
import { retryAfterMs } from './retry-after.ts';

/** The form of a status callback, sent when a call ends (docs/CALLBACKS.md). */
export interface CallbackFields {
  /** The channel's id. */
  readonly call_sid: string;
  readonly call_id: string;
  readonly status: 'completed' | 'no-answer' | 'busy' | 'error';
  readonly outcome: string;
  /** Q.850 cause. */
  readonly cause: string;
  /** SIP status of a failed dial, if there was one. */
  readonly sip_status?: string;
}

/**
 * `status` of a status callback for an outcome. The values come from the system that this bridge
 * replaced.
 */
export function callbackStatus(outcome: Outcome): CallbackFields['status'] {
  if (outcome === 'answered') return 'completed';
  if (outcome === 'busy' || outcome === 'no-answer') return outcome;
  return 'error';
}

/** Storage of undelivered callbacks: on disk, so that they survive a restart. */
export interface CallbackStore {
  storeCallback(callback: StoredCallback): void;
  forgetCallback(id: string): void;
  callbacks(): Promise<StoredCallback[]>;
}

/** How callbacks are signed and retried. Read at each try: a reload may have changed them. */
export interface CallbackSettings {
  /** Key of the signatures. Undefined: callbacks are not signed. */
  readonly secret: string | undefined;
  readonly tries: number;
  /** Hosts that callbacks may be sent to (CALLBACK_HOSTS). Empty: see {@link callbackTarget}. */
  readonly hosts: readonly string[];
}

/** Result of one try. `waitMs`: the receiver's Retry-After, ms. */
interface Answer {
  readonly reply: Reply;
  readonly detail: string;
  readonly waitMs?: number;
}

const TIMEOUT_MS = 5_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 300_000;
/**
 * Callbacks that may wait. Further ones are dropped and counted, so that a dead receiver fills
 * neither memory nor disk.
 */
const PENDING_MAX = 10_000;
/** Older callbacks are dropped: after a day nobody needs them. */
const AGE_MAX_MS = DAY_MS;
/** Limit of concurrent DNS lookups: clients choose the receivers' names. */
const NAMES = { atOnce: 4, waitMs: TIMEOUT_MS };
/** Concurrent requests to one receiver. */
const CONNECTIONS = 16;
const RESUME_RETRY_MS = 30_000;
const RETRIED_STATUSES = [408, 425, 429];
/** Statuses whose Retry-After header is obeyed. */
const BUSY_STATUSES = [429, 503];
/** Receivers whose Retry-After is remembered. */
const RETRY_AFTER_MAX = 1_000;

/** All addresses of the receiver's name are forbidden. A retry would not change that. */
class UnfitReceiver extends Error {}

/** `taken`: delivered. `refused`: given up. `later`: to be retried. */
type Reply = 'taken' | 'refused' | 'later';

/**
 * Posts status callbacks, signed and with retries. It never delays a call. Undelivered callbacks
 * survive a restart.
 */
export class StatusCallbacks {
  readonly #settings: CallbackSettings;
  readonly #store: CallbackStore;
  readonly #log: Logger;
  readonly #agent: Dispatcher;
  /** By callback id. The value is the retry timer, or undefined while a request runs. */
  readonly #pending = new Map<string, NodeJS.Timeout | undefined>();
  readonly #sending = new Set<Promise<void>>();
  /**
   * Until when no request is sent to a receiver (by origin), because of its Retry-After. Unix time,
   * ms.
   */
  readonly #retryAfter = new Map<string, number>();
  #resume: NodeJS.Timeout | undefined;
  #closed = false;
  /**
   * Callbacks: `delivered`, `failed` (given up, for example because the URL is forbidden),
   * `dropped` (too many waited). `failedTries` counts single requests.
   */
  readonly stats = { delivered: 0, failed: 0, dropped: 0, failedTries: 0 };

  /** `resolve` looks up receivers' addresses. Undefined: the system's resolver. */
  constructor(settings: CallbackSettings, store: CallbackStore, log: Logger, resolve?: Resolve) {
    this.#settings = settings;
    this.#store = store;
    this.#log = log;
    const { lookup } = new NameLookups(NAMES, resolve);
    this.#agent = new Agent({
      connections: CONNECTIONS,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      connect: {
        timeout: TIMEOUT_MS,
        // Hosts that the operator named may have any address.
        lookup: (name, options, done) =>
          (settings.hosts.length === 0 ? fitOnly(lookup) : lookup)(name, options, done),
      },
    });
  }

  /** Callbacks that are not delivered yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Sends the callbacks that the previous process left, as soon as the store can be read. */
  async resume(): Promise<void> {
    try {
      for (const callback of await this.#store.callbacks()) {
        if (!this.#pending.has(callback.id)) this.#take(callback);
      }
    } catch {
      // The store has already logged the problem.
      if (!this.#closed) this.#resume = setTimeout(() => void this.resume(), RESUME_RETRY_MS).unref();
    }
  }

  /**
   * Sends in the background, at least once. A receiver may get a callback twice, with the same
   * `X-Bridge-Delivery`.
   */
  post(url: string, fields: CallbackFields): void {
    const target = callbackTarget(url, this.#settings.hosts);
    if ('problem' in target) {
      this.stats.failed += 1;
      const error = `the URL ${target.problem}`;
      this.#log.warn({ callId: fields.call_id, tries: 0, error }, 'status callback given up');
      return;
    }
    const callback: StoredCallback = {
      id: randomUUID(),
      callId: fields.call_id,
      url,
      body: new URLSearchParams({ ...fields }).toString(),
      createdMs: Date.now(),
      tries: 0,
    };
    if (this.#take(callback)) this.#store.storeCallback(callback);
  }

  /**
   * Waits for running requests, at most `waitMs`. What is not delivered is sent after the next
   * start.
   */
  async close(waitMs: number): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#resume);
    for (const timer of this.#pending.values()) clearTimeout(timer);
    const limit = new Promise<void>((resolve) => setTimeout(resolve, waitMs).unref());
    await Promise.race([Promise.all(this.#sending), limit]);
    await this.#agent.destroy();
    await Promise.all(this.#sending);
    if (this.pending > 0)
      this.#log.info({ callbacks: this.pending }, 'status callbacks wait for the next start');
  }

  #take(callback: StoredCallback): boolean {
    if (this.#pending.size >= PENDING_MAX) {
      this.stats.dropped += 1;
      this.#log.warn({ callId: callback.callId }, 'status callback dropped: too many wait');
      return false;
    }
    this.#pending.set(callback.id, undefined);
    this.#try(callback);
    return true;
  }

  #try(callback: StoredCallback): void {
    if (this.#closed) return;
    const waitMs = this.#retryAfterMs(callback.url);
    if (waitMs > 0) return this.#later(callback, waitMs);
    const sending = this.#attempt(callback).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  async #attempt(callback: StoredCallback): Promise<void> {
    const { reply, detail, waitMs = 0 } = await this.#send(callback);
    if (reply === 'taken') {
      this.stats.delivered += 1;
      return this.#done(callback);
    }
    // We aborted it ourselves: this try does not count as failed.
    if (this.#closed && reply === 'later') return;
    this.stats.failedTries += 1;
    const next = { ...callback, tries: callback.tries + 1 };
    const isOver = next.tries >= this.#settings.tries || Date.now() - callback.createdMs > AGE_MAX_MS;
    if (reply === 'refused' || isOver) {
      this.stats.failed += 1;
      this.#log.warn(
        { callId: callback.callId, tries: next.tries, error: detail },
        'status callback given up',
      );
      return this.#done(callback);
    }
    this.#log.debug({ callId: callback.callId, tries: next.tries, error: detail }, 'status callback failed');
    this.#store.storeCallback(next);
    if (waitMs > 0) this.#defer(callback.url, waitMs);
    this.#later(next, Math.max(waitMs, backoffMs(next.tries)));
  }

  #later(callback: StoredCallback, afterMs: number): void {
    this.#pending.set(
      callback.id,
      setTimeout(() => this.#try(callback), afterMs),
    );
  }

  #defer(url: string, waitMs: number): void {
    this.#retryAfter.set(new URL(url).origin, performance.now() + waitMs);
    const [oldest] = this.#retryAfter.keys();
    if (this.#retryAfter.size > RETRY_AFTER_MAX && oldest !== undefined) this.#retryAfter.delete(oldest);
  }

  /** Ms until a receiver's Retry-After has passed. */
  #retryAfterMs(url: string): number {
    const origin = URL.canParse(url) ? new URL(url).origin : '';
    const leftMs = (this.#retryAfter.get(origin) ?? 0) - performance.now();
    if (leftMs <= 0) this.#retryAfter.delete(origin);
    return leftMs;
  }

  #done(callback: StoredCallback): void {
    this.#pending.delete(callback.id);
    this.#store.forgetCallback(callback.id);
  }

  async #send(callback: StoredCallback): Promise<Answer> {
    // Checked again: CALLBACK_HOSTS may have changed since the callback was stored.
    const target = callbackTarget(callback.url, this.#settings.hosts);
    if ('problem' in target) return { reply: 'refused', detail: `the URL ${target.problem}` };
    const { url, authorization } = target;
    const limit = new AbortController();
    let late: NodeJS.Timeout | undefined;
    // Limits the time from the first byte of the response. Before that byte undici's timeouts
    // apply; they restart at each chunk.
    const hasBegun = () => {
      late ??= setTimeout(() => limit.abort(new Error('the answer took too long')), TIMEOUT_MS);
    };
    try {
      const headers = {
        ...this.#headers(callback, Math.floor(Date.now() / 1000)),
        ...(authorization === undefined ? {} : { authorization }),
      };
      const response = await request(url, {
        method: 'POST',
        headers,
        body: callback.body,
        dispatcher: this.#agent,
        signal: limit.signal,
        onInfo: hasBegun,
      });
      hasBegun();
      const { statusCode } = response;
      await response.body.dump().catch(() => {});
      if (statusCode < 300) return { reply: 'taken', detail: '' };
      const isPassing = statusCode >= 500 || RETRIED_STATUSES.includes(statusCode);
      const detail = `answered ${statusCode}`;
      if (!BUSY_STATUSES.includes(statusCode)) return { reply: isPassing ? 'later' : 'refused', detail };
      return { reply: 'later', detail, waitMs: retryAfterMs(response.headers['retry-after'], Date.now()) };
    } catch (error) {
      const reply = error instanceof UnfitReceiver ? 'refused' : 'later';
      return { reply, detail: (error as Error).message };
    } finally {
      clearTimeout(late);
    }
  }

  /**
   * `X-Bridge-Signature` is `sha256=` and the hex HMAC-SHA256 (RFC 2104) of the body.
   * `X-Bridge-Signature-Timed` protects against replay: it signs `TIMESTAMP.BODY`. The timestamp is
   * that of this try, Unix time in s, from `X-Bridge-Timestamp`.
   */
  #headers({ id, body }: StoredCallback, nowS: number): Record<string, string> {
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      'x-bridge-delivery': id,
      'x-bridge-timestamp': String(nowS),
    };
    const { secret } = this.#settings;
    if (!secret) return headers;
    const sign = (text: string) => `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
    return {
      ...headers,
      'x-bridge-signature': sign(body),
      'x-bridge-signature-timed': sign(`${nowS}.${body}`),
    };
  }
}

/**
 * 0.5 s, doubled at each try up to five minutes. Up to 25 % random delay is added, so that
 * callbacks that failed together are not retried together.
 */
function backoffMs(tries: number): number {
  const plain = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (tries - 1));
  return Math.round(plain * (1 + Math.random() / 4));
}

/** A lookup that drops addresses to which callbacks may not be sent. */
function fitOnly(lookup: LookupFunction): LookupFunction {
  return (name, options, done) =>
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error !== null || typeof found === 'string') return done(error, []);
      const [first, ...others] = found.filter(({ address }) => !isUnfit(address));
      if (first === undefined)
        return done(new UnfitReceiver(`${name} has no address that callbacks go to`), []);
      if (options.all) done(null, [first, ...others]);
      else done(null, first.address, first.family);
    });
}
