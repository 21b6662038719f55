import { WebSocket } from 'ws';
import { MEBIBYTE } from '../units/units.ts';
import { type AriAccess, basicAuthorization } from './access.ts';
import { type AriEvent, parseEvent } from './model.ts';

const EVENT_MAX_BYTES = MEBIBYTE;
/**
 * Time limit of a handshake. It is long, because Asterisk may still serve a handshake that was
 * given up. That would take the app from its holder at that time.
 */
const HANDSHAKE_MS = 20_000;

/** Notifications to the owner of a socket. */
export interface EventsHandlers {
  /** The socket is open: events arrive from now on. */
  readonly onOpen: () => void;
  /** Closed, or never opened, with the reason. Called once, and last. */
  readonly onClosed: (problem: string) => void;
  readonly onEvent: (event: AriEvent) => void;
  /** An event could not be parsed. It is ignored. */
  readonly onUnreadable: (error: Error) => void;
}

/** One connection of ARI's events WebSocket. */
export class EventsSocket {
  readonly #handlers: EventsHandlers;
  readonly #socket: WebSocket;
  #problem = '';
  #isClosed = false;

  /**
   * Starts the handshake. The open socket holds the app: Asterisk takes it from the last holder.
   */
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
      // With a listener for this event, `ws` leaves it to us to end the handshake.
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

  /** Closes the TCP connection in any state of the WebSocket. Calls `onClosed` at once. */
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
