import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type OwnKind, parseOwnId } from '../src/call/asterisk-ids.ts';
import { type EventFields, FakeApps, isAppName, MAIN_APP, onApplications } from './fake-apps.ts';
import { FakeGlobals } from './fake-ari-globals.ts';
import {
  type AriRequest,
  type Hook,
  type Hooked,
  hooked,
  isAllowed,
  type Reply,
  readRequest,
  refused,
} from './fake-ari-request.ts';
import { onBridges } from './fake-bridges.ts';
import { type ChannelOptions, type FakeChannel, shown } from './fake-channel.ts';
import { onChannels } from './fake-channel-requests.ts';
import type { FakeRtp } from './fake-rtp.ts';

/**
 * A fake Asterisk: ARI's REST interface and events socket on one loopback port, with the behaviour
 * of the real one.
 */
export class FakeAri {
  /** Whether the far ends' answers leave an audio stream. */
  hasAudio = true;
  readonly channels = new Map<string, FakeChannel>();
  readonly bridges = new Map<string, Set<string>>();
  readonly requests: AriRequest[] = [];
  /** UDP ports of the bridge that media channels were pointed at. */
  readonly bridgePorts = new Set<number>();
  /** Whether events name the variables (`channelvars` in ari.conf). */
  showsVariables = true;
  /** Whether a media channel's StasisStart comes before the reply that makes it. */
  startsBeforeReply = false;
  username = 'pipecat';
  password = 'right';
  /** Global variables and user events. */
  readonly globals = new FakeGlobals((type, fields) => this.emit(type, fields));
  /** Whether no events socket may be opened. */
  refusesEvents = false;
  /** So long after the opening of its events socket an app is not active yet. */
  appDelayMs = 0;
  /** How often the app was taken, by whom ever. */
  takeovers = 0;
  /** The Stasis apps, and who has the events socket of each. */
  readonly apps = new FakeApps();
  readonly #before: Hooked[] = [];
  readonly #after: Hooked[] = [];
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  #nextId = 1;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      const url = new URL(request.url ?? '', 'http://fake');
      if (!isAllowed(request, this.username, this.password))
        return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
      const app = url.searchParams.get('app') ?? '';
      if (this.refusesEvents) return socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n');
      if (!isAppName(app)) return socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      return this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#opened(app, opened));
    });
  }

  static async start(port = 0): Promise<FakeAri> {
    const ari = new FakeAri();
    ari.#server.listen(port, '127.0.0.1');
    await once(ari.#server, 'listening');
    return ari;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Whether the bridge's events socket is open. */
  get isUp(): boolean {
    return this.apps.socketOf(MAIN_APP)?.readyState === 1;
  }

  /**
   * What the bridge created for a caller, latest first: media channels, second legs or mixing
   * bridges.
   */
  ownOf(channelId: string, kind: OwnKind): string[] {
    const ids = kind === 'pcb' ? this.bridges.keys() : this.channels.keys();
    const isIts = (id: string) => parseOwnId(id)?.kind === kind && parseOwnId(id)?.callerId === channelId;
    return [...ids].filter(isIts).reverse();
  }

  /** The id of a caller's media channel; empty while there is none. */
  mediaIdOf(channelId: string): string {
    return this.ownOf(channelId, 'pcm')[0] ?? '';
  }

  /** Who is in a caller's mixing bridge; undefined while there is none. */
  membersOf(channelId: string): ReadonlySet<string> | undefined {
    return this.bridges.get(this.ownOf(channelId, 'pcb')[0] ?? '');
  }

  /** A caller's media. */
  mediaOf(channelId: string): FakeRtp {
    const rtp = this.channels.get(this.mediaIdOf(channelId))?.rtp;
    if (rtp === undefined) throw new Error(`no media channel of ${channelId}`);
    return rtp;
  }

  /**
   * Runs before matching requests (`METHOD /path`) are carried out. A reply returned here is sent
   * instead.
   */
  before(pattern: RegExp, hook: Hook): void {
    this.#before.push({ pattern, hook });
  }

  /** After matching requests were carried out, before they are replied to. */
  after(pattern: RegExp, hook: Hook): void {
    this.#after.push({ pattern, hook });
  }

  /** Requests as `METHOD /path`. */
  log(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`);
  }

  /** A call comes in by the dialplan's `Stasis(pipecat)`. */
  inbound(options: ChannelOptions = {}): FakeChannel {
    const channel = this.add({ ...options, state: 'Ring' });
    this.enterStasis(channel);
    return channel;
  }

  /** Somebody originates a call into the app; it rings from now on. */
  originate(options: ChannelOptions = {}): FakeChannel {
    const channel = this.add({ ...options, state: 'Down', isOriginated: true });
    channel.subscribed = true;
    this.tellDial(channel, '');
    channel.state = 'Ringing';
    this.tellDial(channel, 'RINGING');
    return channel;
  }

  /** The phone of a callee rings that was dialled on a created channel. */
  rings(channel: FakeChannel): void {
    channel.state = 'Ringing';
    this.emit('ChannelStateChange', { channel: this.show(channel) });
    this.tellDial(channel, 'RINGING');
  }

  /** The callee on a created channel answers. */
  picksUp(channel: FakeChannel): void {
    channel.state = 'Up';
    this.emit('ChannelStateChange', { channel: this.show(channel) });
    this.tellDial(channel, 'ANSWER');
  }

  /** The callee answers. */
  answered(channel: FakeChannel): void {
    channel.state = 'Up';
    this.emit('ChannelStateChange', { channel: this.show(channel) });
    this.tellDial(channel, 'ANSWER');
    this.enterStasis(channel);
  }

  /** The dial ends without an answer. */
  dialFails(channel: FakeChannel, status: string, cause: number, sipStatus?: number): void {
    this.emit('ChannelHangupRequest', { channel: this.show(channel), cause, tech_cause: sipStatus });
    this.tellDial(channel, status);
    this.channels.delete(channel.id);
    for (const members of this.bridges.values()) members.delete(channel.id);
    const causes = { cause, cause_txt: 'said so', tech_cause: sipStatus };
    this.emit('ChannelDestroyed', { channel: this.show(channel), ...causes });
  }

  /**
   * The callee's side answers a dial with 3xx, and Asterisk dials `to` at another provider by
   * itself, as version 22 does: on a new channel that has the app arguments of the first and
   * nothing else of it. Without `noted` Asterisk has not yet recorded the 3xx.
   */
  forwards(channel: FakeChannel, to = '+4930999@other', noted: number | undefined = 302): FakeChannel {
    const name = `PJSIP/other-${String(this.#nextId++).padStart(8, '0')}`;
    const { args } = channel;
    const leg = this.add({ name, args, to: '+4930999', from: '', state: 'Down', isOriginated: true });
    leg.subscribed = true;
    this.emitForward(channel, `PJSIP/${to}`, leg, noted);
    return leg;
  }

  /** The word of a forward, and the end of the channel that was forwarded. */
  emitForward(channel: FakeChannel, forward: string, leg?: FakeChannel, noted?: number): void {
    const causes = noted === undefined ? { cause: 0 } : { cause: 23, tech_cause: noted };
    const peer = this.show(channel);
    if (noted !== undefined) this.emit('ChannelHangupRequest', { channel: peer, ...causes });
    const forwarded = leg && this.show(leg);
    this.emit('Dial', { peer, dialstatus: 'CANCEL', dialstring: '', forward, forwarded });
    this.channels.delete(channel.id);
    this.emit('ChannelDestroyed', { channel: peer, ...causes, cause_txt: 'said so' });
  }

  /** Puts a channel there without a word to anybody. */
  add(options: ChannelOptions & Partial<FakeChannel>): FakeChannel {
    const id = options.id ?? `1763800000.${this.#nextId++}`;
    const channel: FakeChannel = {
      id,
      name: options.name ?? `PJSIP/pb_fintech-${String(this.#nextId++).padStart(8, '0')}`,
      state: options.state ?? 'Ring',
      inStasis: options.inStasis ?? false,
      subscribed: options.subscribed ?? false,
      continued: false,
      isOriginated: options.isOriginated ?? false,
      args: options.args ?? [],
      variables: { ...options.variables },
      from: options.from ?? '+491701234567',
      to: options.to ?? '+4930111222',
      done: [],
      createdMs: options.createdMs ?? Date.now(),
      rtp: options.rtp,
    };
    this.channels.set(id, channel);
    return channel;
  }

  /** The channel enters Stasis: its StasisStart is sent. */
  enterStasis(channel: FakeChannel): void {
    channel.inStasis = true;
    this.emit('StasisStart', { channel: this.show(channel), args: channel.args });
  }

  /** Far-end hang-up of a channel. */
  hangUp(id: string, cause = 16): void {
    const channel = this.channels.get(id);
    if (channel === undefined) return;
    this.channels.delete(id);
    for (const members of this.bridges.values()) members.delete(id);
    if (channel.inStasis) {
      this.emit('ChannelHangupRequest', { channel: this.show(channel) });
      this.emit('StasisEnd', { channel: this.show(channel) });
      channel.inStasis = false;
    }
    // Whatever the true cause is, the soft one comes with a flag of Asterisk's own.
    if (channel.subscribed) {
      this.emit('ChannelHangupRequest', { channel: this.show(channel), cause: 32, soft: true });
      this.emit('ChannelDestroyed', { channel: this.show(channel), cause, cause_txt: 'said so' });
    }
    void channel.rtp?.close();
  }

  pressKey(channel: FakeChannel, digit: string, duration_ms: number): void {
    this.emit('ChannelDtmfReceived', { channel: this.show(channel), digit, duration_ms });
  }

  tellDial(channel: FakeChannel, dialstatus: string): void {
    this.emit('Dial', {
      peer: this.show(channel),
      dialstatus,
      dialstring: `${channel.to}@pb_fintech`,
      forward: '',
    });
  }

  /** Sends an event to the apps that have its channel, if no filter drops it. */
  emit(type: string, fields: EventFields): void {
    for (const app of this.apps.of(type, fields)) this.apps.tell(app, type, fields);
  }

  /** Sends text as it is over the events socket. */
  emitText(text: string): void {
    this.apps.socketOf(MAIN_APP)?.send(text);
  }

  /** Holds back all events until the returned function is called: then they leave in one write. */
  corked(): () => void {
    const socket = (this.apps.socketOf(MAIN_APP) as unknown as { _socket: { cork(): void; uncork(): void } })
      ._socket;
    socket.cork();
    return () => socket.uncork();
  }

  /** Cuts the events socket; Asterisk itself goes on. */
  dropEvents(): void {
    this.apps.socketOf(MAIN_APP)?.terminate();
    this.apps.deactivate(MAIN_APP);
  }

  /**
   * Asterisk forgets the app, as after a late handshake that took it and closed. The bridge's
   * socket stays open and gets no event.
   */
  loseApp(): void {
    this.apps.forget(MAIN_APP);
  }

  /** The app's events go nowhere, though Asterisk takes the requests. */
  deafen(): void {
    this.apps.deafen(MAIN_APP);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    for (const { rtp } of this.channels.values()) await rtp?.close();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  /** The channel as ARI shows it. */
  show(channel: FakeChannel): object {
    // As Asterisk 22.10: a channel that was moved still shows the app that it entered first.
    return shown(channel, this.apps.firstOf(channel.id), this.showsVariables);
  }

  #opened(app: string, socket: WebSocket): void {
    // One socket an app: the later one takes it over.
    this.apps.tell(app, 'ApplicationReplaced', {});
    this.apps.deafen(app);
    const activate = () => {
      if (socket.readyState === socket.OPEN) this.apps.activate(app, socket);
    };
    if (this.appDelayMs === 0) activate();
    else setTimeout(activate, this.appDelayMs);
    this.apps.open(app);
    if (app === MAIN_APP) this.takeovers += 1;
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.apps.socketOf(app) === socket) this.apps.deactivate(app);
    });
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming);
    if (!isAllowed(incoming, this.username, this.password)) return void response.writeHead(401).end('{}');
    this.requests.push(request);
    const line = `${request.method} ${request.path}`;
    const early = await hooked(this.#before, line, request);
    if (early === 'never') return;
    const reply =
      early === undefined ? await this.#carryOut(request) : refused(early, 'as the test wants it');
    const late = await hooked(this.#after, line, request);
    if (late === 'never') return;
    response.writeHead(late ?? reply.status, { 'content-type': 'application/json' });
    response.end(reply.body === undefined ? '' : JSON.stringify(reply.body));
  }

  async #carryOut(request: AriRequest): Promise<Reply> {
    const [, collection = '', id = '', action = ''] = request.path.split('/');
    const isThere = this.apps.isOpen(request.query.get('application') ?? MAIN_APP);
    const global = this.globals.carryOut(request, isThere);
    if (global !== undefined) return global;
    if (collection === 'applications') return onApplications(this, request, id, action);
    if (collection === 'bridges') return onBridges(this.bridges, this.channels, request, id, action);
    return await onChannels(this, request, id, action);
  }
}
