import { type AriAccess, basicAuthorization } from './access.ts';
import { ActiveApps } from './active-apps.ts';
import {
  type AriApplication,
  type AriBridge,
  type AriChannel,
  type MediaAddress,
  parseApplicationChannels,
  parseApplications,
  parseBridges,
  parseChannel,
  parseChannels,
  parseFarEndCounts,
  parseMediaAddress,
  parseMediaConnectionId,
  parseStartedAt,
  parseVariable,
} from './model.ts';
import { AriError, AriRequests } from './requests.ts';

/** Channel function that drops received frames, and the frame type to drop. */
const DROPPED = 'FRAME_DROP(RX)';
const COMFORT_NOISE = 'CNG';
/**
 * Asterisk's text for a channel without an audio stream. It has RTP statistics for all others, even
 * on hold.
 */
const NO_AUDIO = /\bRTP\b/;

/**
 * ARI's REST interface. Methods reject with {@link AriError}. Removals treat 404 as success,
 * because the object may already be gone.
 */
export class AriClient {
  readonly #access: AriAccess;
  #app: string;
  readonly #requests: AriRequests;
  #mediaRefusedMs: number | undefined;
  /** Requests for channels to other ends. */
  readonly #creating = new Set<Promise<unknown>>();
  /** Whether channels can enter the app: our connections for events say so. */
  readonly apps = new ActiveApps(() => this.#app);

  constructor(access: AriAccess) {
    this.#access = access;
    this.#app = access.app;
    this.#requests = new AriRequests(access);
  }

  /** Resolves when requests for channels that are under way now were answered. */
  async created(): Promise<void> {
    await Promise.allSettled(this.#creating);
  }

  /** When Asterisk last failed to make a media channel, monotonic clock, ms. */
  get mediaRefusedMs(): number | undefined {
    return this.#mediaRefusedMs;
  }

  /** See {@link AriRequests.checkBefore}. */
  checkBefore(check: () => Promise<unknown> | undefined): void {
    this.#requests.checkBefore(check);
  }

  /** Requests that change something wait from now on: another process may have the app. */
  suspend(): void {
    this.#requests.suspend();
  }

  /** The app is ours: waiting requests continue. */
  resume(): void {
    this.#requests.resume();
  }

  /** Another process has the app: requests that change something fail until {@link resume}. */
  refuse(): void {
    this.#requests.refuse();
  }

  /** `GET /asterisk/ping`: whether Asterisk answers. */
  async ping(): Promise<void> {
    await this.#requests.send('GET', '/asterisk/ping');
  }

  /** `POST /events/user/{name}`: sends an event to the app's holder. 404: no such app. */
  async sendUserEvent(name: string, app = this.#app): Promise<void> {
    await this.#requests.send('POST', `/events/user/${segment(name)}`, { application: app });
  }

  /** `GET /asterisk/variable`: a global variable; empty if it is not set. */
  async globalVariable(variable: string): Promise<string> {
    return parseVariable(await this.#requests.send('GET', '/asterisk/variable', { variable }));
  }

  /** `POST /asterisk/variable`. */
  async setGlobalVariable(variable: string, value: string): Promise<void> {
    await this.#requests.send('POST', '/asterisk/variable', { variable, value });
  }

  /** `POST /asterisk/variable` without a value: Asterisk forgets the variable. */
  async removeGlobalVariable(variable: string): Promise<void> {
    await this.#requests.send('POST', '/asterisk/variable', { variable });
  }

  /** `POST /channels/{id}/ring`: the caller hears ringing (SIP 180). */
  async ring(channelId: string): Promise<void> {
    await this.#requests.send('POST', `/channels/${segment(channelId)}/ring`);
  }

  /** `DELETE /channels/{id}/ring`: stops the ringing tone, if there is one. */
  async stopRinging(channelId: string): Promise<void> {
    await this.#requests.remove(`/channels/${segment(channelId)}/ring`);
  }

  /** `POST /channels/{id}/answer`. */
  async answer(channelId: string): Promise<void> {
    await this.#requests.send('POST', `/channels/${segment(channelId)}/answer`);
  }

  /** `DELETE /channels/{id}` with a Q.850 cause. */
  async hangUp(channelId: string, cause: number): Promise<void> {
    await this.#requests.remove(`/channels/${segment(channelId)}`, { reason_code: cause });
  }

  /** `POST /channels/{id}/continue`: to the dialplan, after `Stasis()` or at another place. */
  async continueInDialplan(
    channelId: string,
    place?: { readonly context: string; readonly extension: string },
  ): Promise<void> {
    const query = place === undefined ? {} : { ...place, priority: 1 };
    await this.#requests.send('POST', `/channels/${segment(channelId)}/continue`, query);
  }

  /** `POST /channels/{id}/variable`. */
  async setVariable(channelId: string, variable: string, value: string): Promise<void> {
    await this.#requests.send('POST', `/channels/${segment(channelId)}/variable`, { variable, value });
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
      const reply = await this.#requests.send('GET', `/channels/${segment(channelId)}/variable`, {
        variable,
      });
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
    await this.#requests.send('POST', `/channels/${segment(channelId)}/dtmf`, {
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
    const all = { ...variables, [DROPPED]: COMFORT_NOISE };
    const create = () => {
      const query = { channelId, endpoint, app: this.#app, appArgs };
      const creating = this.#requests.send('POST', '/channels/create', query, { variables: all });
      this.#creating.add(creating);
      return creating.finally(() => this.#creating.delete(creating));
    };
    try {
      const reply = await create().catch((error: AriError) => {
        if (error.status === 0) return create();
        throw error;
      });
      return parseChannel(reply);
    } catch (error) {
      if (!(error instanceof AriError) || error.status !== 409) throw error;
      return parseChannel(await this.#requests.send('GET', `/channels/${segment(channelId)}`));
    }
  }

  /** `POST /channels/{id}/dial`: dials a created channel. It rings for at most `timeoutS`. */
  async dial(channelId: string, timeoutS: number): Promise<void> {
    await this.#requests.send('POST', `/channels/${segment(channelId)}/dial`, { timeout: timeoutS });
  }

  /** `POST /channels/externalMedia`: an RTP channel that sends to `externalHost` (address:port). */
  async createExternalMedia(channelId: string, externalHost: string, format: string): Promise<MediaAddress> {
    const query = {
      channelId,
      app: this.#app,
      external_host: externalHost,
      format,
      direction: 'both',
    };
    try {
      return parseMediaAddress(await this.#requests.send('POST', '/channels/externalMedia', query));
    } catch (error) {
      if (error instanceof AriError && error.status >= 500) this.#mediaRefusedMs = performance.now();
      throw error;
    }
  }

  /**
   * `POST /channels/externalMedia` with WebSocket (chan_websocket, server mode). Resolves with the
   * URL of the media socket. The channel enters Stasis when a client connects there.
   */
  async createMediaSocket(channelId: string, format: string): Promise<string> {
    const reply = await this.#requests.send('POST', '/channels/externalMedia', {
      channelId,
      app: this.#app,
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
    await this.#requests.send('POST', '/bridges', { type: 'mixing', bridgeId, name: bridgeId });
  }

  /** `POST /bridges/{id}/addChannel`. */
  async addToBridge(bridgeId: string, channelId: string): Promise<void> {
    await this.#requests.send('POST', `/bridges/${segment(bridgeId)}/addChannel`, { channel: channelId });
  }

  /** `POST /bridges/{id}/removeChannel`. */
  async removeFromBridge(bridgeId: string, channelId: string): Promise<void> {
    await this.#requests.send('POST', `/bridges/${segment(bridgeId)}/removeChannel`, { channel: channelId });
  }

  /** `DELETE /bridges/{id}`. */
  async destroyBridge(bridgeId: string): Promise<void> {
    await this.#requests.remove(`/bridges/${segment(bridgeId)}`);
  }

  /** The Stasis app that new channels enter, and that is asked for its channels. */
  get app(): string {
    return this.#app;
  }

  /** From now on requests name this app. */
  useApp(app: string): void {
    this.#app = app;
    this.apps.changed();
  }

  /** `POST /applications/{app}/subscription`: events of a channel also outside Stasis. */
  async subscribe(channelId: string, app = this.#app): Promise<void> {
    await this.#requests.send('POST', subscription(app), { eventSource: `channel:${channelId}` });
  }

  /** `DELETE /applications/{app}/subscription`: no more events of a channel outside Stasis. */
  async unsubscribe(channelId: string, app: string): Promise<void> {
    await this.#requests.send('DELETE', subscription(app), { eventSource: `channel:${channelId}` });
  }

  /**
   * `POST /channels/{id}/move`: the channel leaves its app, without leaving its mixing bridge, and
   * enters another. Returns false if it is not in Stasis, or gone.
   */
  async moveChannel(channelId: string, app: string, appArgs: readonly string[]): Promise<boolean> {
    const query = { app, ...(appArgs.length > 0 && { appArgs: appArgs.join(',') }) };
    try {
      await this.#requests.send('POST', `/channels/${segment(channelId)}/move`, query);
      return true;
    } catch (error) {
      if (error instanceof AriError && (error.status === 404 || error.status === 409)) return false;
      throw error;
    }
  }

  /** `GET /applications`: all apps, and the ids of the channels that each is subscribed to. */
  async applications(): Promise<AriApplication[]> {
    return parseApplications(await this.#requests.send('GET', '/applications'));
  }

  /** `PUT /applications/{app}/eventFilter`: receive only these event types. */
  async allowEvents(types: readonly string[]): Promise<void> {
    const allowed = types.map((type) => ({ type }));
    await this.#requests.send('PUT', `/applications/${segment(this.#app)}/eventFilter`, {}, { allowed });
  }

  /** `GET /channels`. */
  async channels(): Promise<AriChannel[]> {
    return parseChannels(await this.#requests.send('GET', '/channels'));
  }

  /**
   * `GET /channels/{id}/rtp_statistics`: counters of what the far end sent. Undefined if the
   * channel has no audio stream.
   */
  async farEndCounts(channelId: string): Promise<Record<string, number> | undefined> {
    const path = `/channels/${segment(channelId)}/rtp_statistics`;
    try {
      return parseFarEndCounts(await this.#requests.send('GET', path));
    } catch (error) {
      if (error instanceof AriError && error.status === 404 && NO_AUDIO.test(error.message)) return undefined;
      throw error;
    }
  }

  /** `GET /channels/{id}`; undefined if it is gone. */
  async channel(channelId: string): Promise<AriChannel | undefined> {
    try {
      return parseChannel(await this.#requests.send('GET', `/channels/${segment(channelId)}`));
    } catch (error) {
      if (error instanceof AriError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** `GET /bridges`: ids, and the channels of each. */
  async bridges(): Promise<AriBridge[]> {
    return parseBridges(await this.#requests.send('GET', '/bridges'));
  }

  /** `GET /asterisk/info`: start time of Asterisk, in its format; empty if it is not given. */
  async startedAt(): Promise<string> {
    return parseStartedAt(await this.#requests.send('GET', '/asterisk/info', { only: 'status' }));
  }

  /** `GET /applications/{app}`: ids of the channels that the app is subscribed to. */
  async applicationChannels(app = this.#app): Promise<string[]> {
    return parseApplicationChannels(await this.#requests.send('GET', `/applications/${segment(app)}`));
  }

  /** Closes all connections. Pending requests fail. */
  async close(): Promise<void> {
    await this.#requests.close();
  }
}

function segment(id: string): string {
  return encodeURIComponent(id.toWellFormed());
}

function subscription(app: string): string {
  return `/applications/${segment(app)}/subscription`;
}
