import { WebSocket } from 'ws';
import { type AriAccess, basicAuthorization } from './client.ts';
import { type AriEvent, parseEvent } from './model.ts';

const EVENT_MAX_BYTES = 1_048_576;
/**
 * How long Asterisk may take over a handshake. Long, since one that is given up may be served all the same, and then takes the app
 * from whoever holds it by then.
 */
const HANDSHAKE_MS = 20_000;

/** What the owner of a socket is told. */
export interface EventsHandlers {
  /** Events flow from now on. */
  readonly onOpen: () => void;
  /** Closed, or never opened, with what is wrong. Once; nothing is told after it. */
  readonly onClosed: (problem: string) => void;
  readonly onEvent: (event: AriEvent) => void;
  /** An event that could not be read: it is passed over. */
  readonly onUnreadable: (error: Error) => void;
}

/** One connection of ARI's events WebSocket. */
export class EventsSocket {
  readonly #handlers: EventsHandlers;
  readonly #socket: WebSocket;
  #problem = '';
  #isClosed = false;

  /** Begins the handshake. While the socket is open the app is ours: Asterisk takes it from whoever had it. */
  constructor(access: AriAccess, handlers: EventsHandlers) {
    this.#handlers = handlers;
    const url = new URL(access.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.pathname = `${url.pathname.replace(/\/$/, '')}/ari/events`;
    url.search = new URLSearchParams({ app: access.app, subscribeAll: 'false' }).toString();
    const socket = new WebSocket(url, {
      headers: { authorization: basicAuthorization(access) },
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
      maxPayload: EVENT_MAX_BYTES,
    });
    this.#socket = socket;
    socket.on('unexpected-response', (request, response) => {
      this.#problem =
        response.statusCode === 401
          ? 'ARI refuses the credentials (401): check ARI_USERNAME and ARI_PASSWORD on both sides'
          : `ARI answered ${response.statusCode}`;
      // Whoever listens for this event must end the handshake itself.
      request.destroy();
      socket.terminate();
    });
    socket.on('error', (error) => {
      this.#problem ||= error.message || (error as NodeJS.ErrnoException).code || 'connection failed';
    });
    socket.on('open', () => handlers.onOpen());
    socket.on('message', (data) => this.#received(String(data)));
    socket.on('close', (code) => this.#closed(this.#problem || `the events socket closed (${code})`));
  }

  /** Destroys the TCP connection, whatever state the WebSocket is in. `onClosed` is told at once. */
  close(problem: string): void {
    this.#socket.terminate();
    this.#closed(problem);
  }

  #received(text: string): void {
    if (this.#isClosed) return;
    let event: AriEvent | undefined;
    try {
      event = parseEvent(text);
    } catch (error) {
      return this.#handlers.onUnreadable(error as Error);
    }
    if (event !== undefined) this.#handlers.onEvent(event);
  }

  #closed(problem: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handlers.onClosed(problem);
  }
}
