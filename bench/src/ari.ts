/**
 * A stand-in for Asterisk's ARI: only the part that the bridge uses, without cost once the calls
 * are up.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';

/** When a call reached each step, in ms since 1970. */
export interface CallTimes {
  offeredMs?: number;
  answeredMs?: number;
  joinedMs?: number;
  releasedMs?: number;
}

/** Where a call's RTP is to be sent: an address and port that no other call has. */
export interface Phone {
  readonly address: string;
  readonly port: number;
}

/** What the owner is told. */
export interface AriHandlers {
  /** The UDP port that the bridge has opened for the call. */
  readonly onMediaPort: (call: number, port: number) => void;
  /** Both ends are in the mixing bridge: audio flows. */
  readonly onJoined: (call: number) => void;
}

interface Channel {
  readonly id: string;
  readonly call: number;
  readonly isMedia: boolean;
  state: 'Ring' | 'Up';
}

interface Reply {
  readonly status: number;
  readonly body?: unknown;
}

const NO_CONTENT: Reply = { status: 204 };
const NOT_FOUND: Reply = { status: 404, body: { message: 'not found' } };
const MEDIA_PREFIX = 'pcm-';

/** Milliseconds since 1970, finer than Date.now(). */
export const wallMs = () => performance.timeOrigin + performance.now();

/** The call's number in an id of ours, such as `bench-7` or `pcm-bench-7~`. */
const callOf = (id: string) => Number.parseInt(id.slice(id.lastIndexOf('-') + 1), 10);

/** The stand-in: one port, one app. */
export class StandInAri {
  readonly times: CallTimes[] = [];
  readonly #handlers: AriHandlers;
  readonly #phoneOf: (call: number) => Phone;
  readonly #channels = new Map<string, Channel>();
  readonly #bridges = new Map<string, Set<string>>();
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #connected = Promise.withResolvers<void>();
  #events: WebSocket | undefined;
  #connections = 0;

  private constructor(phoneOf: (call: number) => Phone, handlers: AriHandlers) {
    this.#phoneOf = phoneOf;
    this.#handlers = handlers;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        this.#events = opened;
        this.#connections += 1;
        this.#connected.resolve();
      });
    });
  }

  /** Listens. */
  static async start(
    port: number,
    phoneOf: (call: number) => Phone,
    handlers: AriHandlers,
  ): Promise<StandInAri> {
    const ari = new StandInAri(phoneOf, handlers);
    ari.#server.listen(port, '127.0.0.1');
    await once(ari.#server, 'listening');
    return ari;
  }

  /** The bridge's events socket is open. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /**
   * How often the bridge has opened its events socket: more than once is a fault of this stand-in.
   */
  get connections(): number {
    return this.#connections;
  }

  /** Channels and bridges that exist: what the bridge has not released. */
  get held(): number {
    return this.#channels.size + this.#bridges.size;
  }

  /** A call comes in. */
  offer(call: number): void {
    const channel: Channel = { id: `bench-${call}`, call, isMedia: false, state: 'Ring' };
    this.#channels.set(channel.id, channel);
    this.times[call] = { offeredMs: wallMs() };
    this.#emit('StasisStart', channel, { args: [] });
  }

  /** The caller hangs up. */
  hangUp(call: number): void {
    const channel = this.#channels.get(`bench-${call}`);
    if (channel === undefined) return;
    this.#channels.delete(channel.id);
    this.#emit('ChannelHangupRequest', channel, { cause: 16 });
    this.#emit('StasisEnd', channel);
    this.#emit('ChannelDestroyed', channel, { cause: 16, cause_txt: 'Normal Clearing' });
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    this.#events?.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #emit(type: string, channel: Channel, fields: object = {}): void {
    const { call } = channel;
    const timestamp = new Date().toISOString().replace('Z', '+0000');
    const event = { type, timestamp, application: 'pipecat', ...fields, channel: this.#show(channel) };
    this.#events?.send(JSON.stringify(event));
    if (type === 'ChannelDestroyed' && channel.isMedia) this.#note(call, 'releasedMs');
  }

  #note(call: number, step: keyof CallTimes): void {
    this.times[call] = { ...this.times[call], [step]: wallMs() };
  }

  #show({ id, call, isMedia, state }: Channel): object {
    const phone = this.#phoneOf(call);
    return {
      id,
      name: isMedia ? `UnicastRTP/127.0.0.1-${call}` : `PJSIP/bench-${call}`,
      state,
      protocol_id: `${call}@bench`,
      caller: { name: '', number: '200' },
      connected: { name: '', number: '' },
      accountcode: '',
      dialplan: {
        context: 'from-provider',
        exten: '101',
        priority: 9,
        app_name: 'Stasis',
        app_data: 'pipecat',
      },
      creationtime: '2026-01-01T00:00:00.000+0000',
      language: 'en',
      channelvars: isMedia
        ? {
            UNICASTRTP_LOCAL_ADDRESS: phone.address,
            UNICASTRTP_LOCAL_PORT: String(phone.port),
          }
        : { X_CALL_ID: id, INBOUND_PROVIDER: 'bench', INBOUND_DID: '101', INBOUND_FROM: '200' },
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for await (const _ of request);
    const url = new URL(request.url ?? '/', 'http://ari');
    const path = url.pathname.split('/').slice(2).map(decodeURIComponent);
    const { status, body } = this.#carryOut(`${request.method}`, path, url.searchParams);
    const text = body === undefined ? '' : JSON.stringify(body);
    response.writeHead(status, {
      'content-type': 'application/json',
      ...(status === 204 ? {} : { 'content-length': Buffer.byteLength(text) }),
    });
    response.end(text);
  }

  #carryOut(method: string, [kind, id = '', action = '']: string[], query: URLSearchParams): Reply {
    if (kind === 'bridges') return this.#onBridges(method, id, action, query);
    if (kind === 'channels') return this.#onChannels(method, id, action, query);
    if (kind === 'events') return this.#onUserEvent(action);
    if (kind === 'applications' && id === '') return { status: 200, body: [] };
    return { status: 200, body: { name: 'pipecat', channel_ids: [], bridge_ids: [] } };
  }

  /**
   * As Asterisk does it: to the app's own events socket. It shows the bridge that events reach it.
   */
  #onUserEvent(eventname: string): Reply {
    const timestamp = new Date().toISOString().replace('Z', '+0000');
    const event = { type: 'ChannelUserevent', timestamp, application: 'pipecat', eventname, userevent: {} };
    this.#events?.send(JSON.stringify(event));
    return NO_CONTENT;
  }

  #onBridges(method: string, id: string, action: string, query: URLSearchParams): Reply {
    if (method === 'GET') return { status: 200, body: [...this.#bridges.keys()].map((key) => ({ id: key })) };
    const newId = query.get('bridgeId');
    if (method === 'POST' && id === '' && newId !== null) {
      this.#bridges.set(newId, new Set());
      return { status: 200, body: { id: newId, technology: 'simple_bridge', channels: [] } };
    }
    const members = this.#bridges.get(id);
    if (members === undefined) return NOT_FOUND;
    if (method === 'DELETE') this.#bridges.delete(id);
    if (action === 'addChannel') this.#join(members, query.get('channel') ?? '');
    return NO_CONTENT;
  }

  #join(members: Set<string>, id: string): void {
    members.add(id);
    const call = callOf(id);
    if (members.size < 2) return;
    this.#note(call, 'joinedMs');
    this.#handlers.onJoined(call);
  }

  #onChannels(method: string, id: string, action: string, query: URLSearchParams): Reply {
    if (id === 'externalMedia') return this.#openMedia(query);
    if (id === '') return { status: 200, body: [...this.#channels.values()].map((one) => this.#show(one)) };
    const channel = this.#channels.get(id);
    if (channel === undefined) return NOT_FOUND;
    if (method === 'DELETE') {
      this.#channels.delete(id);
      this.#emit('ChannelDestroyed', channel, { cause: 16, cause_txt: 'Normal Clearing' });
    }
    if (action === 'answer') {
      channel.state = 'Up';
      this.#note(channel.call, 'answeredMs');
    }
    return method === 'GET' ? { status: 200, body: this.#show(channel) } : NO_CONTENT;
  }

  #openMedia(query: URLSearchParams): Reply {
    const id = query.get('channelId') ?? '';
    const channel: Channel = { id, call: callOf(id), isMedia: true, state: 'Up' };
    if (!id.startsWith(MEDIA_PREFIX)) return { status: 400, body: { message: 'a channel id of the bridge' } };
    this.#channels.set(id, channel);
    this.#handlers.onMediaPort(channel.call, Number((query.get('external_host') ?? '').split(':')[1]));
    // As Asterisk does it: the reply first, as a rule, and the event right behind it.
    setImmediate(() => this.#emit('StasisStart', channel, { args: [] }));
    return { status: 200, body: this.#show(channel) };
  }
}
