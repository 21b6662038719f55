import type { LookupFunction } from 'node:net';
import { WebSocket } from 'ws';
import { Budget, NO_LIMITS } from './budget.ts';
import { CLOSE_CODE } from './close-codes.ts';
import type { Draft } from './draft.ts';
import { REDIRECTS_MAX, type Redirect, redirectOf } from './redirect.ts';
import { BotStream } from './stream.ts';

/** The bot could not be reached, refused, or was too slow. */
export class BotConnectError extends Error {
  override name = 'BotConnectError';
  readonly code = 'bot-unreachable';
}

/** Where a bot is and how to knock. */
export interface BotTarget {
  readonly url: string;
  /** Added to the URL's own query, URL-encoded. */
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
  readonly origin: string | undefined;
  /** For `wss`: certificates of the only authorities that may have signed the bot's, PEM; undefined: those that the system trusts. */
  readonly ca: string | undefined;
}

/** Limits of one connection. */
export interface BotLimits {
  readonly maxMessageBytes: number;
  /** Bytes that may wait in the socket before media is held back. */
  readonly sendBufferBytes: number;
  /** Ping interval; a bot that has not answered by the next one is lost. */
  readonly pingMs: number;
}

/** How the names of hosts are looked up. */
export interface BotNames {
  /** Of the bot, as the operator wrote it. */
  readonly own: LookupFunction;
  /** Of hosts that a bot's server sends us on to. */
  readonly others: LookupFunction;
}

/** What the owner of the connection is told. */
export interface BotHandlers {
  /** The socket is open: before any message of it. */
  readonly onOpen: (connection: BotConnection) => void;
  /** The message is `bytes[start..end)`, UTF-8, valid during the call only. */
  readonly onText: (bytes: Buffer, start: number, end: number) => void;
  /** Valid during the call only. */
  readonly onBinary: (data: Buffer) => void;
  /** A message over the limit: passed over. */
  readonly onOversize: () => void;
  /** More came than the bot's budget allows: it is read later, so many ms. */
  readonly onOverBudget?: (waitMs: number) => void;
  /** The bot does what none may: the socket is being closed with this code, unless `close` was called before. */
  readonly onMisbehaved?: (code: number, why: string) => void;
  /** The bot answered a ping. */
  readonly onPong?: () => void;
  /**
   * Once, however it ends; code 1006 where there was no close frame (RFC 6455 section 7.4.1). `isOurs`: the code and the reason are
   * of our own close, which came first.
   */
  readonly onClosed: (code: number, reason: string, isOurs: boolean) => void;
}

/** Media held back while the bot does not read: one second, then the oldest is dropped. */
const HELD_MESSAGES_MAX = 50;
const CLOSE_MS = 1_000;
/** Pieces of one message; a bot sends one. */
const MAX_FRAGMENTS = 1_024;
/** Beside media, what may wait for a bot that does not read: thousands of marks, and of answers to its pings. */
const UNREAD_MAX_BYTES = 262_144;
/** What `ws` closes with where it is no protocol error, by the code of its errors. */
const FAILURES: Readonly<Record<string, number>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CLOSE_CODE.tooBig,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CLOSE_CODE.tooBig,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: CLOSE_CODE.policyViolation,
};

/**
 * Opens the WebSocket to a bot, where its server says it is. Rejects with {@link BotConnectError} when it is refused, fails, or
 * `signal` (time limit or end of the call) fires first; nothing is left open then. `budget`: what the bot may send, of its call; none:
 * as much as it likes. `names`: unset, as Node does.
 */
export async function connectBot(
  target: BotTarget,
  limits: BotLimits,
  handlers: BotHandlers,
  signal: AbortSignal,
  budget = new Budget(NO_LIMITS),
  names?: BotNames,
): Promise<void> {
  if (signal.aborted) throw new BotConnectError('given up');
  const url = new URL(target.url);
  for (const [name, value] of Object.entries(target.query)) url.searchParams.set(name, value);
  // URLSearchParams writes a space as "+", which some servers do not read back as one.
  url.search = url.search.replaceAll('+', '%20');
  let at: Redirect = { url, isSameOrigin: true };
  for (let redirects = 0; ; redirects++) {
    const lookup = at.url.hostname === url.hostname ? names?.own : names?.others;
    const next = await openSocket(at, target, limits, handlers, signal, budget, lookup);
    if (next === undefined) return;
    if (redirects === REDIRECTS_MAX) throw new BotConnectError('too many redirects');
    // Who was once somebody else's gets no credentials any more, wherever it sends us.
    at = { url: next.url, isSameOrigin: at.isSameOrigin && next.isSameOrigin };
  }
}

/** Opens one socket. Resolves with where the server sends us instead, if it does. */
async function openSocket(
  { url, isSameOrigin }: Redirect,
  { ca, authorization, origin }: BotTarget,
  limits: BotLimits,
  handlers: BotHandlers,
  signal: AbortSignal,
  budget: Budget,
  lookup: LookupFunction | undefined,
): Promise<Redirect | undefined> {
  const { maxMessageBytes, sendBufferBytes } = limits;
  const isSecure = url.protocol === 'wss:';
  const stream = new BotStream(isSecure, { maxMessageBytes, sendBufferBytes, budget, lookup });
  const socket = new WebSocket(url, {
    ...stream.options,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    maxFragments: MAX_FRAGMENTS,
    skipUTF8Validation: true,
    // One that has said its end and keeps its TCP connection is cut off as well. The types do not know it yet.
    ...({ closeTimeout: CLOSE_MS } as object),
    // Answered below: not without end where the bot reads none of it.
    autoPong: false,
    // Said here, so that no environment variable can say otherwise.
    rejectUnauthorized: true,
    ...(ca ? { ca } : {}),
    ...(authorization && isSameOrigin ? { headers: { authorization } } : {}),
    ...(origin ? { origin } : {}),
  });
  return new Promise((resolve, reject) => {
    let connection: BotConnection | undefined;
    const fail = (detail: string) => {
      signal.removeEventListener('abort', aborted);
      reject(new BotConnectError(detail));
      socket.terminate();
    };
    const aborted = () => fail(signal.reason?.name === 'TimeoutError' ? 'no answer in time' : 'given up');
    signal.addEventListener('abort', aborted, { once: true });
    // Made in the same turn as `open`: the first message may be right behind it.
    socket.once('open', () => {
      signal.removeEventListener('abort', aborted);
      connection = new BotConnection(socket, stream, limits, handlers);
      handlers.onOpen(connection);
      resolve(undefined);
    });
    socket.once('unexpected-response', (_request, { statusCode, headers }) => {
      const next = redirectOf(url, statusCode, headers.location);
      if (next === undefined) return fail(`Unexpected server response: ${statusCode}`);
      signal.removeEventListener('abort', aborted);
      resolve(next);
      socket.terminate();
    });
    // Stays for the socket's life: an error without a listener would end the process; `close` always follows it.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (connection === undefined) fail(error.code ?? error.message);
      else connection.failed(error);
    });
  });
}

/** An open WebSocket to a bot. */
export class BotConnection {
  readonly #socket: WebSocket;
  readonly #stream: BotStream;
  readonly #limits: BotLimits;
  readonly #handlers: BotHandlers;
  readonly #ping: NodeJS.Timeout;
  #held: { readonly bytes: Buffer; readonly isText: boolean }[] = [];
  #alive = true;
  #closeTimer: NodeJS.Timeout | undefined;
  readonly #closed: Promise<void>;
  /** What the network said. */
  #fault = '';
  /** Our own close, where it came first. */
  #ours: { readonly code: number; readonly why: string } | undefined;
  /** Media messages dropped because the bot did not read. */
  droppedMessages = 0;

  constructor(socket: WebSocket, stream: BotStream, limits: BotLimits, handlers: BotHandlers) {
    this.#socket = socket;
    this.#stream = stream;
    this.#limits = limits;
    this.#handlers = handlers;
    // Of several frames; `maxPayload` is their limit.
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) handlers.onBinary(data);
      else handlers.onText(data, 0, data.length);
    });
    stream.open(socket, {
      onText: handlers.onText,
      onBinary: handlers.onBinary,
      onOversize: handlers.onOversize,
      onOverBudget: (waitMs) => handlers.onOverBudget?.(waitMs),
      onMisbehaved: (code, why) => this.#misbehaved(code, why),
    });
    socket.on('ping', (data) => {
      if (socket.readyState === WebSocket.OPEN && this.#mayTell()) socket.pong(data);
    });
    socket.on('pong', () => {
      this.#alive = true;
      handlers.onPong?.();
    });
    this.#closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        clearInterval(this.#ping);
        clearTimeout(this.#closeTimer);
        resolve();
        const ours = this.#ours;
        if (ours === undefined) handlers.onClosed(code, this.#fault || reason.toString('utf8'), false);
        else handlers.onClosed(ours.code, ours.why, true);
      });
    });
    this.#ping = setInterval(() => this.#checkAlive(), limits.pingMs);
  }

  /** Sends a control message. */
  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN && this.#mayTell()) this.#socket.send(text);
  }

  /** Sends media, unless the bot does not read: then a copy is held for up to a second, and the oldest is dropped and counted. */
  sendMedia(message: Draft): void {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return;
    if (this.#held.length === 0 && this.#stream.send(message)) return;
    const isFull = socket.bufferedAmount > this.#limits.sendBufferBytes;
    const { bytes, length, isText } = message;
    this.#held.push({ bytes: Buffer.from(bytes.subarray(0, length)), isText });
    if (!isFull) {
      for (const held of this.#held.splice(0)) socket.send(held.bytes, { binary: !held.isText });
    } else if (this.#held.length > HELD_MESSAGES_MAX) {
      this.#held.shift();
      this.droppedMessages += 1;
    }
  }

  /** Sends a ping, besides those that go by themselves. */
  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  /** The bot's next message is kept back until `release`. */
  hold(): void {
    this.#stream.hold();
  }

  /** Goes on where `hold` stopped. */
  release(): void {
    this.#stream.release();
  }

  /** Closes with a code, and a reason of at most 123 bytes; a bot that does not complete the closing handshake within a second is cut off. Idempotent. */
  close(code: number, why = ''): Promise<void> {
    if (this.#socket.readyState === WebSocket.OPEN) this.#ours ??= { code, why };
    if (this.#closeTimer === undefined && this.#socket.readyState !== WebSocket.CLOSED) {
      this.#closeTimer = setTimeout(() => this.#socket.terminate(), CLOSE_MS);
      this.#socket.close(code, why);
    }
    return this.#closed;
  }

  /** `ws` has met an error: of the network, or in what the bot has sent. Of the latter it has told the bot by a close frame. */
  failed(error: NodeJS.ErrnoException): void {
    const { code = '', message } = error;
    if (!code.startsWith('WS_ERR_')) {
      this.#fault = code || message;
      return this.#socket.terminate();
    }
    this.#closeTimer ??= setTimeout(() => this.#socket.terminate(), CLOSE_MS);
    const closeCode = FAILURES[code] ?? CLOSE_CODE.protocolError;
    this.#ours ??= { code: closeCode, why: message };
    if (closeCode !== CLOSE_CODE.protocolError) this.#handlers.onMisbehaved?.(closeCode, message);
  }

  /** Whether there is room for one more that is not media; a bot that has left none by not reading is closed. */
  #mayTell(): boolean {
    if (this.#socket.bufferedAmount <= this.#limits.sendBufferBytes + UNREAD_MAX_BYTES) return true;
    this.#misbehaved(CLOSE_CODE.policyViolation, 'the bot does not read what it is told');
    return false;
  }

  #misbehaved(code: number, why: string): void {
    if (this.#ours !== undefined) return;
    this.#handlers.onMisbehaved?.(code, why);
    void this.close(code, why);
  }

  #checkAlive(): void {
    if (!this.#alive) {
      this.#ours ??= { code: CLOSE_CODE.abnormal, why: 'no answer to a ping' };
      this.#socket.terminate();
      return;
    }
    this.#alive = false;
    this.#socket.ping();
  }
}
