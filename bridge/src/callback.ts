import { createHmac } from 'node:crypto';
import { Agent, type Dispatcher, interceptors, request } from 'undici';
import type { Logger } from './log.ts';

/** What the one who placed a call is told of its end (contract, section 3), as a form. */
export interface CallbackFields {
  /** The channel's id. */
  readonly call_sid: string;
  readonly call_id: string;
  readonly status: 'completed' | 'no-answer' | 'busy' | 'error';
  readonly outcome: string;
  /** Q.850 cause. */
  readonly cause: string;
  /** SIP status of a dial that failed, where there was one. */
  readonly sip_status?: string;
}

const TIMEOUT_MS = 5_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Callbacks under way; beyond it new ones are dropped and counted, so that a dead receiver costs no memory. */
const PENDING_MAX = 1_000;
const RETRIED_STATUSES = [408, 425, 429, 500, 502, 503, 504];

/** Posts status callbacks, signed and retried, without ever holding up a call. */
export class StatusCallbacks {
  readonly #agent: Dispatcher;
  readonly #secret: string | undefined;
  readonly #log: Logger;
  readonly #pending = new Set<Promise<void>>();
  /** Callbacks delivered, given up after all tries, and dropped since too many were under way. */
  readonly stats = { delivered: 0, failed: 0, dropped: 0 };

  /** `secret` keys the signature; without it callbacks go unsigned. */
  constructor(secret: string | undefined, tries: number, log: Logger) {
    this.#secret = secret;
    this.#log = log;
    this.#agent = new Agent({
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      connectTimeout: TIMEOUT_MS,
    }).compose(
      interceptors.retry({
        maxRetries: tries - 1,
        minTimeout: BACKOFF_MIN_MS,
        maxTimeout: BACKOFF_MAX_MS,
        methods: ['POST'],
        statusCodes: RETRIED_STATUSES,
      }),
    );
  }

  /** Sends in the background. `X-Bridge-Signature` is `sha256=` and the body's HMAC-SHA256 (RFC 2104) in hex. */
  post(url: string, fields: CallbackFields): void {
    if (this.#pending.size >= PENDING_MAX) {
      this.stats.dropped += 1;
      return;
    }
    const sending = this.#send(url, fields).finally(() => this.#pending.delete(sending));
    this.#pending.add(sending);
  }

  /** Waits for callbacks under way for at most `waitMs`, then gives up. */
  async close(waitMs: number): Promise<void> {
    const limit = AbortSignal.timeout(waitMs);
    const cut = new Promise<void>((resolve) =>
      limit.addEventListener('abort', () => resolve(), { once: true }),
    );
    if (this.#pending.size > 0) await Promise.race([Promise.all(this.#pending), cut]);
    await this.#agent.destroy();
  }

  async #send(url: string, fields: CallbackFields): Promise<void> {
    const body = new URLSearchParams({ ...fields }).toString();
    const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' };
    if (this.#secret) {
      headers['x-bridge-signature'] =
        `sha256=${createHmac('sha256', this.#secret).update(body).digest('hex')}`;
    }
    try {
      const response = await request(url, { method: 'POST', headers, body, dispatcher: this.#agent });
      await response.body.dump();
      if (response.statusCode >= 300) throw new Error(`answered ${response.statusCode}`);
      this.stats.delivered += 1;
    } catch (error) {
      this.stats.failed += 1;
      this.#log.warn({ callId: fields.call_id, error: (error as Error).message }, 'status callback given up');
    }
  }
}
