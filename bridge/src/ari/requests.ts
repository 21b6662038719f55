import { Pool } from 'undici';
import { type AriAccess, basicAuthorization } from './access.ts';

/** A request that ARI refused, or that got no reply (status 0). */
export class AriError extends Error {
  override name = 'AriError';
  /** HTTP status; 0 if no reply came. */
  readonly status: number;
  /** False: it was never sent, since another process has, or may have, the app of our calls. */
  readonly wasSent: boolean;

  constructor(request: string, status: number, detail: string, wasSent = true) {
    super(`${request}: ${status === 0 ? `no reply (${detail})` : `${status} ${detail}`}`.trim());
    this.status = status;
    this.wasSent = wasSent;
  }
}

/** Limit of concurrent requests. Others wait for a connection. */
const CONNECTIONS = 32;
/**
 * How long an idle connection is kept: less than the 15 s after which Asterisk closes it by
 * default.
 */
const KEEP_ALIVE_MS = 10_000;
/** Limit of a reply: about 50,000 channels. */
const REPLY_MAX_BYTES = 67_108_864;
const ERROR_TEXT_MAX_CHARS = 300;

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
type Query = Readonly<Record<string, string | number>>;

/**
 * Sends HTTP requests to ARI, each within the time limit. While another process may have the app,
 * requests that change something wait. Methods reject with {@link AriError}.
 */
export class AriRequests {
  readonly #pool: Pool;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  /** Requests that change something wait for this promise. Undefined: they do not wait. */
  #gate: PromiseWithResolvers<void> | undefined;
  #check: () => Promise<unknown> | undefined = () => undefined;

  constructor(access: AriAccess) {
    const url = new URL(access.url);
    this.#timeoutMs = access.timeoutMs;
    this.#prefix = `${url.pathname.replace(/\/$/, '')}/ari`;
    this.#headers = { authorization: basicAuthorization(access), 'content-type': 'application/json' };
    this.#pool = new Pool(url.origin, {
      connections: CONNECTIONS,
      connectTimeout: access.timeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxResponseSize: REPLY_MAX_BYTES,
    });
  }

  /** Requests that change something first wait for this check, if it is due. */
  checkBefore(check: () => Promise<unknown> | undefined): void {
    this.#check = check;
  }

  /** Requests that change something wait from now on: another process may have the app. */
  suspend(): void {
    if (this.#gate !== undefined) return;
    this.#gate = Promise.withResolvers<void>();
    // The promise may reject while no request waits.
    this.#gate.promise.catch(() => {});
  }

  /** The app is ours: waiting requests continue. */
  resume(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  /** Another process has the app: requests that change something fail until {@link resume}. */
  refuse(): void {
    this.suspend();
    this.#gate?.reject(new Error('another process holds the Stasis app'));
  }

  /** Closes all connections. Pending requests fail. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /** Sends a DELETE. An object that is already gone (404) is a success. */
  async remove(path: string, query: Query = {}): Promise<void> {
    try {
      await this.send('DELETE', path, query);
    } catch (error) {
      if (!(error instanceof AriError) || error.status !== 404) throw error;
    }
  }

  /** Sends a request below `/ari`. Resolves with the reply's JSON; undefined if it is empty. */
  async send(method: Method, path: string, query: Query = {}, body?: unknown): Promise<unknown> {
    const request = `${method} ${path}`;
    const parameters = new URLSearchParams(query as Record<string, string>);
    let status = 0;
    let text: string;
    let isSent = method === 'GET';
    // Limits the whole request, including the wait for a free connection: Asterisk may hang. Not
    // AbortSignal.timeout, which would live on after the reply.
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(new Error('timed out')), this.#timeoutMs);
    try {
      if (!isSent) await this.#mayChange(abort.signal);
      isSent = true;
      const response = await this.#pool.request({
        method,
        path: `${this.#prefix}${path}${parameters.size > 0 ? `?${parameters}` : ''}`,
        headers: this.#headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: abort.signal,
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      throw new AriError(request, 0, (error as Error).message, isSent);
    } finally {
      clearTimeout(limit);
    }
    if (status >= 300) throw new AriError(request, status, errorText(text));
    try {
      return (text === '' ? undefined : JSON.parse(text)) as unknown;
    } catch {
      throw new AriError(request, status, 'the reply is not JSON');
    }
  }

  async #mayChange(signal: AbortSignal): Promise<void> {
    const check = this.#check();
    if (check !== undefined) await orAborted(check, signal);
    if (this.#gate !== undefined) await orAborted(this.#gate.promise, signal);
  }
}

/**
 * What the body of a refusal says. ARI sends JSON with `message` or `error`; Asterisk without its
 * ARI modules, and a proxy, send a page of HTML.
 */
function errorText(body: string): string {
  try {
    const { message, error } = JSON.parse(body) as { message?: unknown; error?: unknown };
    return String(message ?? error ?? body).slice(0, ERROR_TEXT_MAX_CHARS);
  } catch {
    const [, title = ''] = /<h1>([^<]*)<\/h1>/i.exec(body) ?? [];
    const rest = body.replace(/^.*<\/h1>/is, '').replaceAll(/<[^>]*>/g, ' ');
    const words = rest.replaceAll(/\s+/g, ' ').trim();
    return (title === '' ? words : `${title}: ${words}`).slice(0, ERROR_TEXT_MAX_CHARS);
  }
}

/** Result of the promise, or a rejection with the signal's reason. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true });
  return await Promise.race([promise, aborted.promise]);
}
