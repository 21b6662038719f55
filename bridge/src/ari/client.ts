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
  /** HTTP status; 0 where no reply came. */
  readonly status: number;

  constructor(request: string, status: number, detail: string) {
    super(`${request}: ${status === 0 ? 'no reply' : status} ${detail}`.trim());
    this.status = status;
  }
}

/** The function of a channel that drops frames which come from its far end, and which are. */
const DROPPED = 'FRAME_DROP(RX)';
const COMFORT_NOISE = 'CNG';

/** Access to one Asterisk's ARI. `timeoutMs` bounds each request. */
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

/** How many requests may be under way at once; more wait for a connection. */
const CONNECTIONS = 32;
/** How long a connection is kept for the next call: well below the 15 s after which Asterisk closes it, unless told otherwise. */
const KEEP_ALIVE_MS = 10_000;
/** No reply is larger: some 50,000 channels. */
const REPLY_MAX_BYTES = 67_108_864;
const ERROR_TEXT_MAX_CHARS = 300;

type Query = Readonly<Record<string, string | number>>;

/**
 * ARI's REST interface. Every method rejects with {@link AriError}; the removals treat 404 as success, since what they
 * remove may have gone by itself.
 */
export class AriClient {
  readonly #pool: Pool;
  readonly #access: AriAccess;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #prefix: string;
  /** Requests that change something wait for it. Undefined: they do not. */
  #gate: PromiseWithResolvers<void> | undefined;
  /** When Asterisk last could not make a media channel, on the monotonic clock, ms. */
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

  /** From now on requests that change something wait, as long as a request may take: perhaps the app is another process's. */
  hold(): void {
    if (this.#gate !== undefined) return;
    this.#gate = Promise.withResolvers<void>();
    // Nobody may be waiting.
    this.#gate.promise.catch(() => {});
  }

  /** The app is ours: what waits goes on. */
  release(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  /** The app is another process's: what waits fails, and so does every request that would change something, until {@link release}. */
  refuse(): void {
    this.hold();
    this.#gate?.reject(new Error('another process holds the Stasis app'));
  }

  /** `GET /asterisk/ping`: whether Asterisk answers. */
  async ping(): Promise<void> {
    await this.#request('GET', '/asterisk/ping');
  }

  /** `POST /events/user/{name}`: the event comes back to whoever holds the app; 404 where Asterisk has no such app. */
  async sendUserEvent(name: string): Promise<void> {
    await this.#request('POST', `/events/user/${segment(name)}`, { application: this.#access.app });
  }

  /** `GET /asterisk/variable`: a global variable, empty where it is not set. */
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

  /** `DELETE /channels/{id}/ring`: the ringing tone ends, where there is one. */
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

  /** `POST /channels/{id}/continue`: back to the dialplan, at the priority after `Stasis()`, or at another place. */
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
   * Comfort noise of a channel goes no further than Asterisk (RFC 3389). What has more than its one byte of level, as gateways with
   * silence suppression send it, ends a media channel by RTP, which cannot be written it (Asterisk 22.10).
   */
  async dropComfortNoise(channelId: string): Promise<void> {
    await this.setVariable(channelId, DROPPED, COMFORT_NOISE);
  }

  /** `GET /channels/{id}/variable`: `undefined` where it is not set. */
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

  /** Several variables, asked for one by one; empty where they are not set. */
  async variables(channelId: string, names: readonly string[]): Promise<Record<string, string>> {
    const answers = await Promise.all(names.map((name) => this.variable(channelId, name)));
    return Object.fromEntries(names.map((name, index) => [name, answers[index] ?? '']));
  }

  /** `POST /channels/{id}/dtmf`: digits to the channel (RFC 4733 where the peer takes it); durations in ms. */
  async sendDtmf(channelId: string, digits: string, durationMs: number, betweenMs: number): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/dtmf`, {
      dtmf: digits,
      duration: durationMs,
      between: betweenMs,
    });
  }

  /**
   * `POST /channels/create`: a channel to an endpoint, under an id of ours; it enters Stasis undialled. Where the id exists already
   * (409), or no reply came at first, it is that one. Variables go in the body: in a query they would be lost.
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

  /** `POST /channels/{id}/dial`: calls the endpoint of a created channel; rings for at most `timeoutS`. */
  async dial(channelId: string, timeoutS: number): Promise<void> {
    await this.#request('POST', `/channels/${segment(channelId)}/dial`, { timeout: timeoutS });
  }

  /** `POST /channels/externalMedia`: an RTP channel of ours, that sends to `externalHost` (an address and port). */
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
   * `POST /channels/externalMedia` by WebSocket (chan_websocket, server mode). Resolves with the URL that the media is to be
   * fetched from; the channel enters Stasis when somebody connects there.
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

  /** `POST /bridges`: a mixing bridge under an id of ours. */
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

  /** `POST /applications/{app}/subscription`: events of a channel beyond its stay in Stasis. */
  async subscribe(channelId: string): Promise<void> {
    await this.#request('POST', `/applications/${segment(this.#access.app)}/subscription`, {
      eventSource: `channel:${channelId}`,
    });
  }

  /** `PUT /applications/{app}/eventFilter`: only these event types are sent to us. */
  async allowEvents(types: readonly string[]): Promise<void> {
    const allowed = types.map((type) => ({ type }));
    await this.#request('PUT', `/applications/${segment(this.#access.app)}/eventFilter`, {}, { allowed });
  }

  /** `GET /channels`. */
  async channels(): Promise<AriChannel[]> {
    return parseChannels(await this.#request('GET', '/channels'));
  }

  /** `GET /channels/{id}/rtp_statistics`: what came from the far end. */
  async farEndCounts(channelId: string): Promise<Record<string, number>> {
    return parseFarEndCounts(await this.#request('GET', `/channels/${segment(channelId)}/rtp_statistics`));
  }

  /** `GET /channels/{id}`; undefined where it is gone. */
  async channel(channelId: string): Promise<AriChannel | undefined> {
    try {
      return parseChannel(await this.#request('GET', `/channels/${segment(channelId)}`));
    } catch (error) {
      if (error instanceof AriError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** `GET /bridges`: ids, and the channels in each. */
  async bridges(): Promise<AriBridge[]> {
    return parseBridges(await this.#request('GET', '/bridges'));
  }

  /** `GET /asterisk/info`: when this Asterisk has started, in its own words; empty where it does not say. */
  async startedAt(): Promise<string> {
    return parseStartedAt(await this.#request('GET', '/asterisk/info', { only: 'status' }));
  }

  /** `GET /applications/{app}`: ids of the channels that the app is told of. */
  async applicationChannels(): Promise<string[]> {
    return parseApplicationChannels(await this.#request('GET', `/applications/${segment(this.#access.app)}`));
  }

  /** Ends all connections; requests under way are cut. */
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
    // Of the whole request, the wait for a free connection included: Asterisk may hang. A signal that times out by itself would
    // live on, and fire, long after the reply.
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

/** The promise's result, or a rejection with the signal's reason. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true });
  return await Promise.race([promise, aborted.promise]);
}

function segment(id: string): string {
  return encodeURIComponent(id.toWellFormed());
}
