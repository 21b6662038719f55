import { Pool } from 'undici';
import {
  type AriBridge,
  type AriChannel,
  type MediaAddress,
  parseApplicationChannels,
  parseBridges,
  parseChannel,
  parseChannels,
  parseFarEndCounts,
  parseMediaAddress,
  parseMediaConnectionId,
  parseStartedAt,
  parseVariable,
} from './model.ts';

/** A request that ARI refused, or that got no reply (status 0). */
export class AriError extends Error {
  override name = 'AriError';
  /** HTTP status; 0 if no reply came. */
  readonly status: number;

  constructor(request: string, status: number, detail: string) {
    super(`${request}: ${status === 0 ? 'no reply' : status} ${detail}`.trim());
    this.status = status;
  }
}

/** Channel function that drops received frames, and the frame type to drop. */
const DROPPED = 'FRAME_DROP(RX)';
const COMFORT_NOISE = 'CNG';

/** Access to one Asterisk's ARI. `timeoutMs` limits each request. */
export interface AriAccess {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly app: string;
  readonly timeoutMs: number;
}

/** Value of the Authorization header for ARI (HTTP Basic, RFC 7617). */
export function basicAuthorization(access: AriAccess): string {
  return `Basic ${Buffer.from(`${access.username}:${access.password}`).toString('base64')}`;
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

type Query = Readonly<Record<string, string | number>>;

/**
 * ARI's REST interface. Methods reject with {@link AriError}. Removals treat 404 as success,
 * because the object may already be gone.
 */
export class AriClient {
  readonly #pool: Pool;
  readonly #access: AriAccess;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #prefix: string;
  /** Requests that change something wait for this promise. Undefined: they do not wait. */
  #gate: PromiseWithResolvers<void> | undefined;
  /** When Asterisk last failed to make a media channel, monotonic clock, ms. */
  mediaRefusedMs: number | undefined;

  constructor(access: AriAccess) {
    const url = new URL(access.url);
    this.#access = access;
    this.#prefix = `${url.pathname.replace(/\/$/, '')}/ari`;
    this.#headers = { authorization: basicAuthorization(access), 'content-type': 'application/json' };
    this.#pool = new Pool(url.origin, {
      connections: CONNECTIONS,
      connectTimeout: access.timeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxResponseSize: REPLY_MAX_BYTES,
    });
  }

  /** Requests that change something wait from now on: another process may have the app. */
  hold(): void {
    if (this.#gate !== undefined) return;
    this.#gate = Promise.withResolvers<void>();
    // The promise may reject while no request waits.
    this.#gate.promise.catch(() => {});
  }

  /** The app is ours: waiting requests continue. */
  release(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  /** Another process has the app: requests that change something fail until {@link release}. */
  refuse(): void {
    this.hold();
    this.#gate?.reject(new Error('another process holds the Stasis app'));
  }

  /** `GET /asterisk/ping`: whether Asterisk answers. */
  async ping(): Promise<void> {
    await this.#request('GET', '/asterisk/ping');
  }

  /** `POST /events/user/{name}`: sends an event to the app's holder. 404: no such app. */
  async sendUserEvent(name: string): Promise<void> {
    await this.#request('POST', `/events/user/${segment(name)}`, { application: this.#access.app });
  }

  /** `GET /asterisk/variable`: a global variable; empty if it is not set. */
  async globalVariable(variable: string): Promise<string> {
    return parseVariable(await this.#request('GET', '/asterisk/variable', { variable }));
  }

  /** `POST /asterisk/variable`. */
  async setGlobalVariable(variable: string, value: string): Promise<void> {
    await this.#request('POST', '/asterisk/variable', { variable, value });
  }

  /** `POST /channels/{id}/ring`: the caller hears ringing (SIP 180). */
  async ring(channelId: string): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/ring`);
  }

  /** `DELETE /channels/{id}/ring`: stops the ringing tone, if there is one. */
  async stopRinging(channelId: string): Promise<void> {
    await this.#remove(`/channels/${segment(channelId)}/ring`);
  }

  /** `POST /channels/{id}/answer`. */
  async answer(channelId: string): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/answer`);
  }

  /** `DELETE /channels/{id}` with a Q.850 cause. */
  async hangUp(channelId: string, cause: number): Promise<void> {
    await this.#remove(`/channels/${segment(channelId)}`, { reason_code: cause });
  }

  /** `POST /channels/{id}/continue`: to the dialplan, after `Stasis()` or at another place. */
  async continueInDialplan(
    channelId: string,
    place?: { readonly context: string; readonly extension: string },
  ): Promise<void> {
    const query = place === undefined ? {} : { ...place, priority: 1 };
    await this.#request('POST', `/channels/${segment(channelId)}/continue`, query);
  }

  /** `POST /channels/{id}/variable`. */
  async setVariable(channelId: string, variable: string, value: string): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/variable`, { variable, value });
  }

  /**
   * Drops comfort noise (RFC 3389) of a channel in Asterisk. Gateways with silence suppression send
   * frames of more than one byte. Asterisk 22.10 cannot write these to an RTP media channel and
   * ends it.
   */
  async dropComfortNoise(channelId: string): Promise<void> {
    await this.setVariable(channelId, DROPPED, COMFORT_NOISE);
  }

  /** `GET /channels/{id}/variable`: `undefined` if it is not set. */
  async variable(channelId: string, variable: string): Promise<string | undefined> {
    try {
      const reply = await this.#request('GET', `/channels/${segment(channelId)}/variable`, { variable });
      const { value } = reply as { value?: string };
      return value === '' ? undefined : value;
    } catch (error) {
      if (error instanceof AriError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Reads several variables, one request each; empty if not set. */
  async variables(channelId: string, names: readonly string[]): Promise<Record<string, string>> {
    const answers = await Promise.all(names.map((name) => this.variable(channelId, name)));
    return Object.fromEntries(names.map((name, index) => [name, answers[index] ?? '']));
  }

  /** `POST /channels/{id}/dtmf`: sends digits (RFC 4733 if negotiated); durations in ms. */
  async sendDtmf(channelId: string, digits: string, durationMs: number, betweenMs: number): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/dtmf`, {
      dtmf: digits,
      duration: durationMs,
      between: betweenMs,
    });
  }

  /**
   * `POST /channels/create`: a channel to an endpoint, with an id of ours. It enters Stasis
   * undialled. Repeats the request once without a reply, and returns the existing channel on 409.
   * Variables are in the body: Asterisk ignores them in a query.
   */
  async createChannel(
    channelId: string,
    endpoint: string,
    appArgs: string,
    variables: Readonly<Record<string, string>>,
  ): Promise<AriChannel> {
    const query = { channelId, endpoint, app: this.#access.app, appArgs };
    const all = { ...variables, [DROPPED]: COMFORT_NOISE };
    const create = () => this.#request('POST', '/channels/create', query, { variables: all });
    try {
      const reply = await create().catch((error: AriError) => {
        if (error.status === 0) return create();
        throw error;
      });
      return parseChannel(reply);
    } catch (error) {
      if (!(error instanceof AriError) || error.status !== 409) throw error;
      return parseChannel(await this.#request('GET', `/channels/${segment(channelId)}`));
    }
  }

  /** `POST /channels/{id}/dial`: dials a created channel. It rings for at most `timeoutS`. */
  async dial(channelId: string, timeoutS: number): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/dial`, { timeout: timeoutS });
  }

  /** `POST /channels/externalMedia`: an RTP channel that sends to `externalHost` (address:port). */
  async createExternalMedia(channelId: string, externalHost: string, format: string): Promise<MediaAddress> {
    const query = {
      channelId,
      app: this.#access.app,
      external_host: externalHost,
      format,
      direction: 'both',
    };
    try {
      return parseMediaAddress(await this.#request('POST', '/channels/externalMedia', query));
    } catch (error) {
      if (error instanceof AriError && error.status >= 500) this.mediaRefusedMs = performance.now();
      throw error;
    }
  }

  /**
   * `POST /channels/externalMedia` with WebSocket (chan_websocket, server mode). Resolves with the
   * URL of the media socket. The channel enters Stasis when a client connects there.
   */
  async createMediaSocket(channelId: string, format: string): Promise<string> {
    const reply = await this.#request('POST', '/channels/externalMedia', {
      channelId,
      app: this.#access.app,
      external_host: 'INCOMING',
      transport: 'websocket',
      encapsulation: 'none',
      connection_type: 'server',
      transport_data: 'f(json)',
      format,
      direction: 'both',
    });
    const url = new URL(this.#access.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.pathname = `${url.pathname.replace(/\/$/, '')}/media/${parseMediaConnectionId(reply)}`;
    return url.href;
  }

  /** Value of the Authorization header for this Asterisk. */
  get authorization(): string {
    return basicAuthorization(this.#access);
  }

  /** `POST /bridges`: a mixing bridge with an id of ours. */
  async createBridge(bridgeId: string): Promise<void> {
    await this.#request('POST', '/bridges', { type: 'mixing', bridgeId, name: bridgeId });
  }

  /** `POST /bridges/{id}/addChannel`. */
  async addToBridge(bridgeId: string, channelId: string): Promise<void> {
    await this.#request('POST', `/bridges/${segment(bridgeId)}/addChannel`, { channel: channelId });
  }

  /** `POST /bridges/{id}/removeChannel`. */
  async removeFromBridge(bridgeId: string, channelId: string): Promise<void> {
    await this.#request('POST', `/bridges/${segment(bridgeId)}/removeChannel`, { channel: channelId });
  }

  /** `DELETE /bridges/{id}`. */
  async destroyBridge(bridgeId: string): Promise<void> {
    await this.#remove(`/bridges/${segment(bridgeId)}`);
  }

  /** `POST /applications/{app}/subscription`: events of a channel also outside Stasis. */
  async subscribe(channelId: string): Promise<void> {
    await this.#request('POST', `/applications/${segment(this.#access.app)}/subscription`, {
      eventSource: `channel:${channelId}`,
    });
  }

  /** `PUT /applications/{app}/eventFilter`: receive only these event types. */
  async allowEvents(types: readonly string[]): Promise<void> {
    const allowed = types.map((type) => ({ type }));
    await this.#request('PUT', `/applications/${segment(this.#access.app)}/eventFilter`, {}, { allowed });
  }

  /** `GET /channels`. */
  async channels(): Promise<AriChannel[]> {
    return parseChannels(await this.#request('GET', '/channels'));
  }

  /** `GET /channels/{id}/rtp_statistics`: counters of what the far end sent. */
  async farEndCounts(channelId: string): Promise<Record<string, number>> {
    return parseFarEndCounts(await this.#request('GET', `/channels/${segment(channelId)}/rtp_statistics`));
  }

  /** `GET /channels/{id}`; undefined if it is gone. */
  async channel(channelId: string): Promise<AriChannel | undefined> {
    try {
      return parseChannel(await this.#request('GET', `/channels/${segment(channelId)}`));
    } catch (error) {
      if (error instanceof AriError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** `GET /bridges`: ids, and the channels of each. */
  async bridges(): Promise<AriBridge[]> {
    return parseBridges(await this.#request('GET', '/bridges'));
  }

  /** `GET /asterisk/info`: start time of Asterisk, in its format; empty if it is not given. */
  async startedAt(): Promise<string> {
    return parseStartedAt(await this.#request('GET', '/asterisk/info', { only: 'status' }));
  }

  /** `GET /applications/{app}`: ids of the channels that the app is subscribed to. */
  async applicationChannels(): Promise<string[]> {
    return parseApplicationChannels(await this.#request('GET', `/applications/${segment(this.#access.app)}`));
  }

  /** Closes all connections. Pending requests fail. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #remove(path: string, query: Query = {}): Promise<void> {
    try {
      await this.#request('DELETE', path, query);
    } catch (error) {
      if (!(error instanceof AriError) || error.status !== 404) throw error;
    }
  }

  async #request(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, query: Query = {}, body?: unknown) {
    const request = `${method} ${path}`;
    const parameters = new URLSearchParams(query as Record<string, string>);
    let status = 0;
    let text: string;
    // Limits the whole request, including the wait for a free connection: Asterisk may hang. Not
    // AbortSignal.timeout, which would live on after the reply.
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(new Error('timed out')), this.#access.timeoutMs);
    try {
      if (this.#gate !== undefined && method !== 'GET') await orAborted(this.#gate.promise, abort.signal);
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
      throw new AriError(request, 0, (error as Error).message);
    } finally {
      clearTimeout(limit);
    }
    if (status >= 300) throw new AriError(request, status, text.slice(0, ERROR_TEXT_MAX_CHARS));
    try {
      return (text === '' ? undefined : JSON.parse(text)) as unknown;
    } catch {
      throw new AriError(request, status, 'the reply is not JSON');
    }
  }
}

/** Result of the promise, or a rejection with the signal's reason. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true });
  return await Promise.race([promise, aborted.promise]);
}

function segment(id: string): string {
  return encodeURIComponent(id.toWellFormed());
}
