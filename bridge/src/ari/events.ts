import { WebSocket } from 'ws';
import { type AriAccess, basicAuthorization } from './client.ts';
import { type AriEvent, parseEvent } from './model.ts';

const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 5_000;
const PING_MS = 5_000;
const HANDSHAKE_MS = 5_000;
const EVENT_MAX_BYTES = 1_048_576;

/** What the owner of the connection is told. */
export interface AriEventsHandlers {
  /** The socket is open: events flow from now on. */
  readonly onUp: () => void;
  /** The socket is closed or could not be opened; it will be tried again. Once per outage, with what is wrong. */
  readonly onDown: (why: string) => void;
  readonly onEvent: (event: AriEvent) => void;
  /** An event that could not be read: it is passed over. */
  readonly onUnreadable: (error: Error) => void;
}

/**
 * ARI's events WebSocket: reconnects by itself with exponential back-off and jitter, and notices a dead peer by ping.
 * While it is down Asterisk's events are lost: the owner reconciles on `onUp`.
 */
export class AriEvents {
  readonly #access: AriAccess;
  readonly #handlers: AriEventsHandlers;
  #socket: WebSocket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #ping: NodeJS.Timeout | undefined;
  #attempt = 0;
  #lastProblem = '';
  #stopped = false;

  constructor(access: AriAccess, handlers: AriEventsHandlers) {
    this.#access = access;
    this.#handlers = handlers;
  }

  /** Starts to connect, and keeps connected until `stop()`. */
  start(): void {
    this.#connect();
  }

  /** Closes the socket for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearInterval(this.#ping);
    this.#socket?.terminate();
  }

  /** Drops the connection: it is opened anew, later the more often this happens. */
  reconnect(): void {
    this.#socket?.terminate();
  }

  #connect(): void {
    const url = new URL(this.#access.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.pathname = `${url.pathname.replace(/\/$/, '')}/ari/events`;
    url.search = new URLSearchParams({ app: this.#access.app, subscribeAll: 'false' }).toString();
    const socket = new WebSocket(url, {
      headers: { authorization: basicAuthorization(this.#access) },
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
      maxPayload: EVENT_MAX_BYTES,
    });
    this.#socket = socket;
    let problem = '';
    socket.on('unexpected-response', (request, response) => {
      problem =
        response.statusCode === 401
          ? 'ARI refuses the credentials (401): check ARI_USERNAME and ARI_PASSWORD on both sides'
          : `ARI answered ${response.statusCode}`;
      // Whoever listens for this event must end the handshake itself.
      request.destroy();
      socket.terminate();
    });
    socket.on('error', (error) => {
      problem ||= error.message || (error as NodeJS.ErrnoException).code || 'connection failed';
    });
    socket.on('open', () => this.#opened(socket));
    socket.on('message', (data) => this.#received(String(data)));
    socket.on('close', (code) => this.#closed(problem || `the events socket closed (${code})`));
  }

  #opened(socket: WebSocket): void {
    this.#lastProblem = '';
    let alive = true;
    socket.on('pong', () => {
      alive = true;
      // Now it has lasted: only then the back-off begins anew.
      this.#attempt = 0;
    });
    this.#ping = setInterval(() => {
      if (!alive) return socket.terminate();
      alive = false;
      socket.ping();
    }, PING_MS);
    this.#handlers.onUp();
  }

  #received(text: string): void {
    let event: AriEvent | undefined;
    try {
      event = parseEvent(text);
    } catch (error) {
      return this.#handlers.onUnreadable(error as Error);
    }
    if (event !== undefined) this.#handlers.onEvent(event);
  }

  #closed(problem: string): void {
    clearInterval(this.#ping);
    if (this.#stopped) return;
    if (problem !== this.#lastProblem) this.#handlers.onDown(problem);
    this.#lastProblem = problem;
    const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.#connect(), ceilingMs / 2 + (Math.random() * ceilingMs) / 2);
  }
}
