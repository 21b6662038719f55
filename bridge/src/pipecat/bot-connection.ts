import type { LookupFunction } from 'node:net';
import { WebSocket } from 'ws';
import { Budget, NO_LIMITS } from './budget.ts';
import { CLOSE_CODE } from './close-codes.ts';
import type { Draft } from './draft.ts';
import type { FrameSender } from './frame-sender.ts';
import { type LifeLimits, LifeWatch } from './life-watch.ts';
import { REDIRECTS_MAX, type Redirect, redirectOf } from './redirect.ts';
import { BotStream } from './stream.ts';

/** The bot could not be reached, refused the connection, or took too long. */
export class BotConnectError extends Error {
  override name = 'BotConnectError';
  readonly code = 'bot-unreachable';
  /** The bot's server answered that it does not want this call (HTTP 4xx). */
  readonly isRefusal: boolean;

  constructor(message: string, isRefusal = false) {
    super(message);
    this.isRefusal = isRefusal;
  }
}

/** Address of a bot, and what to send in the handshake. */
export interface BotTarget {
  readonly url: string;
  /** Added to the query of the URL, URL-encoded. */
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
  readonly origin: string | undefined;
  /**
   * For `wss`: certificates of the only authorities that may have signed the bot's certificate,
   * PEM. Undefined: those that the system trusts.
   */
  readonly ca: string | undefined;
}

/** Limits of one connection. */
export interface BotLimits extends LifeLimits {
  readonly maxMessageBytes: number;
  /** Bytes that may wait in the socket before media is held back. */
  readonly sendBufferBytes: number;
}

/** DNS look-up of host names. */
export interface BotNames {
  /** For the bot's host, as configured by the operator. */
  readonly own: LookupFunction;
  /** For hosts that a bot's server redirects to. */
  readonly others: LookupFunction;
}

/** Notifications to the owner of the connection. */
export interface BotHandlers {
  /** The socket is open. Called before the first message. */
  readonly onOpen: (connection: BotConnection) => void;
  /** A text message: `bytes[start..end)`, UTF-8, valid during the call only. */
  readonly onText: (bytes: Buffer, start: number, end: number) => void;
  /** A binary message. Valid during the call only. */
  readonly onBinary: (data: Buffer) => void;
  /** A message over the size limit was skipped. */
  readonly onOversize: () => void;
  /** The bot is over its budget: its socket is not read for `waitMs`. */
  readonly onOverBudget?: (waitMs: number) => void;
  /**
   * The bot broke the rules: its socket is being closed with this code, unless `close` was called
   * before.
   */
  readonly onMisbehaved?: (code: number, why: string) => void;
  /** The bot answered a ping. */
  readonly onPong?: () => void;
  /**
   * Called once. The code is 1006 if there was no close frame (RFC 6455 section 7.4.1). `isOurs`:
   * code and reason are those of our close, which came first.
   */
  readonly onClosed: (code: number, reason: string, isOurs: boolean) => void;
}

/**
 * Limit of media messages held while the bot does not read: 1 s. After it the oldest is dropped.
 */
const WAITING_MESSAGES_MAX = 50;
const CLOSE_MS = 1_000;
/** Limit of fragments of one message. A bot sends one. */
const MAX_FRAGMENTS = 1_024;
/** Limit of unread data other than media: thousands of marks and pongs. */
const UNREAD_MAX_BYTES = 262_144;
/** Close codes for errors of `ws`, by error code. Others are protocol errors. */
const FAILURES: Readonly<Record<string, number>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CLOSE_CODE.tooBig,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CLOSE_CODE.tooBig,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: CLOSE_CODE.policyViolation,
};

/**
 * Opens the WebSocket to a bot and follows redirects. Rejects with {@link BotConnectError} if the
 * connection is refused or fails, or if `signal` fires (time limit or end of the call). Then
 * nothing stays open. `budget`: limits of the call; unset: none. `names`: unset: Node's look-up.
 */
export async function connectBot(
  target: BotTarget,
  limits: BotLimits,
  handlers: BotHandlers,
  signal: AbortSignal,
  budget = new Budget(NO_LIMITS),
  names?: BotNames,
): Promise<void> {
  if (signal.aborted) throw new BotConnectError(whyAborted(signal));
  const url = new URL(target.url);
  for (const [name, value] of Object.entries(target.query)) url.searchParams.set(name, value);
  // URLSearchParams writes a space as "+", which some servers do not decode.
  url.search = url.search.replaceAll('+', '%20');
  let at: Redirect = { url, isSameOrigin: true };
  for (let redirects = 0; ; redirects++) {
    const lookup = at.url.hostname === url.hostname ? names?.own : names?.others;
    const next = await openSocket(at, target, limits, handlers, signal, budget, lookup);
    if (next === undefined) return;
    if (redirects === REDIRECTS_MAX) throw new BotConnectError('too many redirects');
    // After a redirect to another origin credentials are never sent again.
    at = { url: next.url, isSameOrigin: at.isSameOrigin && next.isSameOrigin };
  }
}

/** `AbortSignal.timeout` says so by this name of its reason (DOM standard). */
const whyAborted = ({ reason }: AbortSignal): string =>
  (reason as Error | undefined)?.name === 'TimeoutError' ? 'no answer in time' : 'given up';

/** 408 and 429 are for all calls. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** Options of `ws` that its types do not have yet. */
interface UntypedOptions {
  /** Ms until the TCP connection is closed of a bot that sent a close frame but keeps it open. */
  readonly closeTimeout: number;
}

/** Opens one socket. Resolves with the redirect target if the server redirects. */
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
  const options: WebSocket.ClientOptions & UntypedOptions = {
    ...stream.options,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    maxFragments: MAX_FRAGMENTS,
    skipUTF8Validation: true,
    closeTimeout: CLOSE_MS,
    // Pings are answered below, with a limit for a bot that does not read.
    autoPong: false,
    // Set here, so that no environment variable can change it.
    rejectUnauthorized: true,
    ...(ca ? { ca } : {}),
    ...(authorization && isSameOrigin ? { headers: { authorization } } : {}),
    ...(origin ? { origin } : {}),
  };
  const socket = new WebSocket(url, options);
  return new Promise((resolve, reject) => {
    let connection: BotConnection | undefined;
    const fail = (detail: string, isRefusal = false) => {
      signal.removeEventListener('abort', aborted);
      reject(new BotConnectError(detail, isRefusal));
      socket.terminate();
    };
    const aborted = () => fail(whyAborted(signal));
    signal.addEventListener('abort', aborted, { once: true });
    // Made in the same turn as `open`, because the first message may follow at once.
    socket.once('open', () => {
      signal.removeEventListener('abort', aborted);
      connection = new BotConnection(socket, stream, limits, handlers);
      handlers.onOpen(connection);
      resolve(undefined);
    });
    socket.once('unexpected-response', (_request, { statusCode, headers }) => {
      const next = redirectOf(url, statusCode, headers.location);
      if (next === undefined)
        return fail(`Unexpected server response: ${statusCode}`, isRefusal(statusCode ?? 0));
      signal.removeEventListener('abort', aborted);
      resolve(next);
      socket.terminate();
    });
    // Stays until the end: an `error` event without a listener would end the process. `close`
    // follows.
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
  readonly #sender: FrameSender | undefined;
  readonly #limits: BotLimits;
  readonly #handlers: BotHandlers;
  readonly #watch: LifeWatch;
  readonly #watching: NodeJS.Timeout;
  #waiting: { readonly bytes: Buffer; readonly isText: boolean }[] = [];
  #closeTimer: NodeJS.Timeout | undefined;
  readonly #closed: Promise<void>;
  /** Error of the network. */
  #fault = '';
  /** Our own close, if it came first. */
  #ours: { readonly code: number; readonly why: string } | undefined;
  #droppedMessages = 0;

  constructor(socket: WebSocket, stream: BotStream, limits: BotLimits, handlers: BotHandlers) {
    this.#socket = socket;
    this.#stream = stream;
    this.#limits = limits;
    this.#handlers = handlers;
    this.#watch = new LifeWatch(limits);
    // Messages of several frames. `maxPayload` limits them.
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) handlers.onBinary(data);
      else handlers.onText(data, 0, data.length);
    });
    this.#sender = stream.open(socket, {
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
      this.#watch.answered();
      handlers.onPong?.();
    });
    this.#closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        clearInterval(this.#watching);
        clearTimeout(this.#closeTimer);
        resolve();
        const ours = this.#ours;
        if (ours === undefined) handlers.onClosed(code, this.#fault || reason.toString('utf8'), false);
        else handlers.onClosed(ours.code, ours.why, true);
      });
    });
    this.#watching = setInterval(() => this.#checkAlive(), this.#watch.tickMs);
  }

  /** Sends a control message. */
  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN && this.#mayTell()) this.#socket.send(text);
  }

  /** Media messages dropped because the bot did not read. */
  get droppedMessages(): number {
    return this.#droppedMessages;
  }

  /**
   * Sends media. While the bot does not read, holds copies for up to 1 s; then drops the oldest.
   */
  sendMedia(message: Draft): void {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return;
    if (this.#waiting.length === 0 && this.#sender?.send(message)) return;
    const isFull = socket.bufferedAmount > this.#limits.sendBufferBytes;
    const { bytes, length, isText } = message;
    this.#waiting.push({ bytes: Buffer.from(bytes.subarray(0, length)), isText });
    if (!isFull) {
      for (const one of this.#waiting.splice(0)) socket.send(one.bytes, { binary: !one.isText });
    } else if (this.#waiting.length > WAITING_MESSAGES_MAX) {
      this.#waiting.shift();
      this.#droppedMessages += 1;
    }
  }

  /** Sends a ping, in addition to the periodic ones. */
  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  /** Delivers no further message until `release`. */
  pauseReading(): void {
    this.#stream.pauseReading();
  }

  /** Ends a `hold`. */
  release(): void {
    this.#stream.release();
  }

  /**
   * Closes with a code and a reason of at most 123 bytes. Cuts off a bot that does not complete the
   * closing handshake within 1 s. Idempotent.
   */
  close(code: number, why = ''): Promise<void> {
    if (this.#socket.readyState === WebSocket.OPEN) this.#ours ??= { code, why };
    if (this.#closeTimer === undefined && this.#socket.readyState !== WebSocket.CLOSED) {
      this.#closeTimer = setTimeout(() => this.#socket.terminate(), CLOSE_MS);
      this.#socket.close(code, why);
    }
    return this.#closed;
  }

  /**
   * Handles an error of `ws`: of the network, or in data of the bot, for which `ws` sent a close
   * frame.
   */
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

  /** Whether another message that is not media may be queued. Closes a bot that does not read. */
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
    const next = this.#watch.tick(this.#stream.takeHeard());
    if (next === 'ping') this.ping();
    if (next !== 'lost') return;
    this.#ours ??= { code: CLOSE_CODE.abnormal, why: 'no answer to a ping' };
    this.#socket.terminate();
  }
}
