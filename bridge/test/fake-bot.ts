import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

/** A message of the bridge, as parsed. */
export type BotEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

/**
 * What the bot does with a connection: accepts it, answers with an HTTP status or a redirect, or
 * does not answer.
 */
export type Decision = 'accept' | 'never' | number | { readonly status: number; readonly location: string };

/** Key and certificate of a bot that is reached by `wss`, PEM. */
export interface BotCertificate {
  readonly key: string;
  readonly cert: string;
}

/** One connection of the bridge. */
export class BotSession {
  readonly request: IncomingMessage;
  readonly events: BotEvent[] = [];
  /** Binary or unreadable messages; there should be none. */
  strange = 0;
  /** The close code, once it is closed. */
  closed: number | undefined;
  readonly #socket: WebSocket;

  /** Binary messages: raw audio, where the call agreed on that. */
  readonly binary: Buffer[] = [];

  constructor(request: IncomingMessage, socket: WebSocket) {
    this.request = request;
    this.#socket = socket;
    socket.on('message', (data, isBinary) => {
      if (isBinary) {
        this.strange += 1;
        this.binary.push(data as Buffer);
      } else this.events.push(JSON.parse(String(data)));
    });
    socket.on('close', (code) => {
      this.closed = code;
    });
    socket.on('error', () => {});
  }

  get query(): URLSearchParams {
    return new URL(this.request.url ?? '', 'ws://fake').searchParams;
  }

  /** Messages of one kind. */
  of(event: string): BotEvent[] {
    return this.events.filter((message) => message.event === event);
  }

  /** Messages in order, media in a row as one. */
  order(): string[] {
    return this.events
      .map(({ event }) => event)
      .filter((event, i, all) => event !== 'media' || all[i - 1] !== event);
  }

  /** All audio heard so far. */
  audio(): Buffer {
    return Buffer.concat(this.of('media').map(({ payload }) => Buffer.from(String(payload), 'base64')));
  }

  send(message: object | string | Buffer): void {
    const isText = typeof message === 'string' || Buffer.isBuffer(message);
    this.#socket.send(isText ? message : JSON.stringify(message));
  }

  /** Sends audio; `fields` may say its encoding. */
  speak(audio: Buffer, fields: object = {}): void {
    this.send({ event: 'media', payload: audio.toString('base64'), ...fields });
  }

  /** Sends a message in pieces (RFC 6455 section 5.4). */
  sendFragments(...pieces: readonly (string | Buffer)[]): void {
    for (const [i, piece] of pieces.entries()) this.#socket.send(piece, { fin: i === pieces.length - 1 });
  }

  ping(): void {
    this.#socket.ping();
  }

  /** Bytes that were written and not taken by the other side yet. */
  get backlogBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Writes bytes as they are, past the framing. */
  write(bytes: Buffer): void {
    (this.#socket as unknown as { _socket: Duplex })._socket.write(bytes);
  }

  /** Without a code the close frame has none either: the other side sees 1005. */
  close(code?: number, reason?: string): void {
    this.#socket.close(code, reason);
  }

  /** Cuts the connection without a word: the other side sees 1006. */
  cut(): void {
    this.#socket.terminate();
  }

  /** Reads no more. */
  stopReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }
}

/** A bot on a port of loopback that does what the test says. */
export class FakeBot {
  readonly sessions: BotSession[] = [];
  /** Connections tried, refused ones included. */
  attempts = 0;
  /** What is done with the next connection. */
  decide: (attempt: number, request: IncomingMessage) => Decision | Promise<Decision> = () => 'accept';
  /** Called with each accepted connection. */
  onSession: (session: BotSession) => void = () => {};
  readonly #server: Server;
  readonly #protocol: 'ws' | 'wss';
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #silent = new Set<Duplex>();

  private constructor(certificate: BotCertificate | undefined) {
    this.#protocol = certificate === undefined ? 'ws' : 'wss';
    this.#server = certificate === undefined ? createServer() : createTlsServer(certificate);
  }

  static async start(certificate?: BotCertificate): Promise<FakeBot> {
    const bot = new FakeBot(certificate);
    bot.#server.on('upgrade', (request, socket, head) => void bot.#knocked(request, socket, head));
    bot.#server.listen(0, '127.0.0.1');
    await once(bot.#server, 'listening');
    return bot;
  }

  get url(): string {
    return `${this.#protocol}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws/asterisk`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    for (const socket of this.#silent) socket.destroy();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #knocked(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.attempts += 1;
    this.#silent.add(socket);
    socket.on('error', () => {});
    const decision = await this.decide(this.attempts, request);
    if (decision === 'never' || socket.destroyed) return;
    if (typeof decision === 'object')
      return void socket.end(`HTTP/1.1 ${decision.status} There\r\nLocation: ${decision.location}\r\n\r\n`);
    if (decision !== 'accept') return void socket.end(`HTTP/1.1 ${decision} No\r\n\r\n`);
    // What `onSession` sends goes in one packet with the handshake's answer.
    socket.cork();
    this.#sockets.handleUpgrade(request, socket, head, (opened) => {
      const session = new BotSession(request, opened);
      this.sessions.push(session);
      this.onSession(session);
    });
    socket.uncork();
  }
}
