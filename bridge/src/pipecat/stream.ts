import { connect, isIP, type LookupFunction, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type ClientOptions, WebSocket } from 'ws';
import type { Budget } from './budget.ts';
import { CLOSE_CODE } from './close-codes.ts';
import { FrameReader } from './frame.ts';
import { FrameSender } from './frame-sender.ts';

/** Notifications to the owner of a stream. */
export interface StreamHandlers {
  /**
   * A text message: `bytes[start..end)`, valid during the call, or longer if `hold` is called in
   * it.
   */
  readonly onText: (bytes: Buffer, start: number, end: number) => void;
  /** A binary message, valid as long as a text message. */
  readonly onBinary: (data: Buffer) => void;
  /** A message of more than `maxMessageBytes`. Its payload is dropped. */
  readonly onOversize: () => void;
  /** The bot is over its budget: its socket is not read for `waitMs`. */
  readonly onOverBudget: (waitMs: number) => void;
  /** The socket must be closed with this code. */
  readonly onMisbehaved: (code: number, why: string) => void;
}

/** Limits of a stream. */
export interface StreamLimits {
  /**
   * Limit of a message. Up to `REFUSED_TIMES_MAX` times as much is skipped. A longer message closes
   * the socket when its header is read.
   */
  readonly maxMessageBytes: number;
  readonly budget: Budget;
  /** Bytes that may wait to be sent before media is held back. */
  readonly sendBufferBytes: number;
  /** DNS look-up of the bot's host. Unset: Node's. */
  readonly lookup: LookupFunction | undefined;
}

const READ_BYTES = 65_536;
/** Limit for one bot in one turn of the event loop. The rest waits for the next turn. */
const MESSAGES_A_TURN = 100;
const BYTES_A_TURN = READ_BYTES;
/** Bytes that took longer to arrive were not read in one turn, ms. */
const TURN_MS = 100;
/**
 * Units in which the budget is charged: a bot that speaks is charged five times per second. A
 * smaller rest may be charged long after it arrived. No bot is held back for that.
 */
const PORTION = { messages: 16, bytes: 8_192 } as const;
const REFUSED_TIMES_MAX = 4;
/** Wait while `ws` has not read what it was given, ms. */
const RETRY_MS = 5;
/**
 * Pause between two reads after our close frame, ms. The budget does not apply then; the pause
 * leaves the thread to other calls.
 */
const ENDING_PAUSE_MS = 5;
/** Opcodes from here on are control frames. Close is the first (RFC 6455 section 5.2). */
const CLOSE = 8;

// Shared by all streams of a thread: each uses it only within its turn of the event loop.
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * Reads what a bot sends before `ws` does. Plain messages of one frame bypass `ws`. Every frame is
 * charged to the budget of the call. The rest (handshake, pings, fragments, close) is left to `ws`,
 * which reads and writes the same stream as if it were alone.
 */
export class BotStream {
  readonly #isSecure: boolean;
  readonly #limits: StreamLimits;
  readonly #maxMessageBytes: number;
  #stream: Socket | undefined;
  #socket: WebSocket | undefined;
  #handlers: StreamHandlers | undefined;
  readonly #frames = new FrameReader();
  /**
   * Bytes that `ws` has of a header that began right after the handshake and continues in the next
   * chunk.
   */
  #headBytesOfWs = 0;
  /** Destination of the current frame's payload. */
  #target: 'ws' | 'message' | 'nowhere' = 'ws';
  /** The current message, if it spans several chunks, and how many of its bytes were received. */
  #message = Buffer.alloc(0);
  #messageBytes = 0;
  /** Data that was read and must wait. */
  #rest: Buffer | undefined;
  #isWaiting = false;
  #isStopped = false;
  #isReadingPaused = false;
  #isHeard = false;
  #turnMessages = 0;
  #turnBytes = 0;
  /** When the count of `#turnBytes` began. */
  #countFromMs = 0;
  /** Received but not charged yet. */
  #unpaidMessages = 0;
  #unpaidBytes = 0;

  constructor(isSecure: boolean, limits: StreamLimits) {
    this.#isSecure = isSecure;
    this.#limits = limits;
    this.#maxMessageBytes = limits.maxMessageBytes;
  }

  /** Options for `ws` to use this stream. */
  readonly options: ClientOptions = {
    createConnection: ((options: NetConnectOpts) => this.#connect(options)) as typeof connect,
    finishRequest: (request) => {
      // Data right after the handshake has been passed to `ws`.
      request.on('upgrade', (_response, _socket, head) => this.#passOver(head));
      request.end();
    },
  };

  /**
   * Call it in the turn in which the handshake completes. Returns what sends past `ws`. Undefined:
   * the socket uses TLS, and all is sent through `ws`.
   */
  open(socket: WebSocket, handlers: StreamHandlers): FrameSender | undefined {
    this.#socket = socket;
    this.#handlers = handlers;
    if (this.#isSecure) return undefined;
    return new FrameSender(this.#stream as Socket, this.#limits.sendBufferBytes);
  }

  /** Delivers no further message until `release`. */
  pauseReading(): void {
    this.#isReadingPaused = true;
  }

  /** Ends a `hold`. */
  release(): void {
    if (!this.#isReadingPaused) return;
    this.#isReadingPaused = false;
    if (this.#rest !== undefined) this.#waitFor(0);
  }

  #connect(options: NetConnectOpts): Socket {
    const { lookup } = this.#limits;
    const shared = {
      onread: { buffer: readBuffer, callback: (bytes: number) => this.#read(bytes) },
      ...(lookup === undefined ? {} : { lookup }),
    };
    this.#stream = this.#isSecure
      ? connectTls({ ...secure(options), ...shared } as ConnectionOptions)
      : connect({ ...options, ...shared });
    return this.#stream;
  }

  #passOver(head: Buffer): void {
    const frames = this.#frames;
    for (let at = 0; at < head.length; at = frames.end)
      this.#headBytesOfWs = frames.next(head, at, head.length) === 'header' ? frames.head.length : 0;
  }

  /**
   * Whether anything came from the bot since the last call. Also true while the socket is not read:
   * then nothing can be said of the bot.
   */
  takeHeard(): boolean {
    const isHeard = this.#isHeard || this.#rest !== undefined || this.#isWaiting || this.#isReadingPaused;
    this.#isHeard = false;
    return isHeard;
  }

  /** Handles read bytes. False: no more is read until the stream is resumed. */
  #read(bytes: number): boolean {
    if (this.#socket === undefined)
      return (this.#stream as Socket).push(Buffer.from(readBuffer.subarray(0, bytes)));
    this.#isHeard = true;
    this.#unpaidBytes += bytes;
    if (this.#rest !== undefined) {
      this.#rest = Buffer.concat([this.#rest, readBuffer.subarray(0, bytes)]);
      return false;
    }
    this.#turnMessages = 0;
    const at = this.#take(readBuffer, bytes);
    // A part of a message is charged as a message.
    if (this.#turnMessages === 0) this.#unpaidMessages += 1;
    this.#turnBytes += bytes;
    if (at === bytes && (this.#turnBytes < BYTES_A_TURN || this.#countAnew() >= TURN_MS)) return true;
    this.#rest = Buffer.from(readBuffer.subarray(at, bytes));
    // libuv reads a full socket dozens of times before it runs a timer.
    if (at === bytes) this.#waitFor(this.#isEnding ? ENDING_PAUSE_MS : 0);
    return false;
  }

  /** Parses `chunk[0..limit)`. Returns the offset where it stopped: the rest must wait. */
  #take(chunk: Buffer, limit: number): number {
    const frames = this.#frames;
    for (let at = 0; at < limit; at = frames.end) {
      if (this.#mustWait()) return at;
      switch (frames.next(chunk, at, limit)) {
        case 'message':
          this.#unpaidMessages += 1;
          this.#turnMessages += 1;
          this.#deliver(chunk, frames.start, frames.end);
          break;
        case 'frame':
          this.#unpaidMessages += 1;
          this.#turnMessages += 1;
          this.#begin();
          break;
        case 'payload':
          this.#goOn(chunk);
          break;
        case 'header':
          break;
      }
    }
    return limit;
  }

  /** Whether no more may be parsed in this turn. Parsing then continues by itself. */
  #mustWait(): boolean {
    if (this.#isEnding) {
      this.#charge();
      return this.#turnMessages >= MESSAGES_A_TURN && this.#waitFor(ENDING_PAUSE_MS);
    }
    if (this.#isReadingPaused) return true;
    // Data that `ws` has not read yet must keep its place before this.
    if ((this.#stream as Socket).readableLength > 0) return this.#waitFor(RETRY_MS);
    // Check the limits only after charging: else the bot cannot be over them.
    if (this.#charge() && this.#limits.budget.isOver(PORTION.messages, PORTION.bytes))
      return this.#waitForBudget();
    return this.#turnMessages >= MESSAGES_A_TURN && this.#waitFor(0);
  }

  /** Charges received data to the budget, once it is a whole unit. */
  #charge(): boolean {
    if (this.#unpaidMessages < PORTION.messages && this.#unpaidBytes < PORTION.bytes) return false;
    this.#limits.budget.at(performance.now()).came(this.#unpaidMessages, this.#unpaidBytes);
    this.#unpaidMessages = 0;
    this.#unpaidBytes = 0;
    return true;
  }

  /** The bot is over its budget. False: for too long, and the socket is being closed. */
  #waitForBudget(): boolean {
    const waitMs = this.#limits.budget.pause();
    if (waitMs === undefined) {
      this.#handlers?.onMisbehaved(CLOSE_CODE.policyViolation, 'more messages or bytes than a bot may send');
      return false;
    }
    this.#handlers?.onOverBudget(waitMs);
    return this.#waitFor(waitMs);
  }

  /**
   * Begins a new count of bytes. Returns how long the last count took, ms. Without that a bot would
   * be stopped after each `BYTES_A_TURN`, even over many turns.
   */
  #countAnew(): number {
    const nowMs = performance.now();
    const tookMs = nowMs - this.#countFromMs;
    this.#countFromMs = nowMs;
    this.#turnBytes = 0;
    return tookMs;
  }

  #waitFor(ms: number): true {
    if (this.#isWaiting) return true;
    this.#isWaiting = true;
    // Data passed to `ws` in this turn makes the stream read again at the end of the turn.
    process.nextTick(() => this.#stop());
    if (ms === 0) setImmediate(() => this.#afterWait());
    else setTimeout(() => this.#afterWait(), ms);
    return true;
  }

  /** Stops reading until the wait is over, unless `ws` has paused the stream itself. */
  #stop(): void {
    const stream = this.#stream as Socket;
    if (!this.#isWaiting || stream.isPaused()) return;
    this.#isStopped = true;
    stream.pause();
  }

  #afterWait(): void {
    this.#isWaiting = false;
    const rest = this.#rest ?? Buffer.alloc(0);
    this.#rest = undefined;
    const stream = this.#stream as Socket;
    if (stream.destroyed) return;
    // First resume, or `ws` would not get what it is given now. Nothing is read before this turn
    // ends.
    if (this.#isStopped) stream.resume();
    this.#isStopped = false;
    this.#turnMessages = 0;
    this.#turnBytes = 0;
    const at = this.#take(rest, rest.length);
    if (at < rest.length) this.#rest = rest.subarray(at);
    else stream.resume();
  }

  get #isEnding(): boolean {
    return this.#socket?.readyState !== WebSocket.OPEN;
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    if (this.#isEnding) return;
    if (end - start > this.#maxMessageBytes) this.#handlers?.onOversize();
    else if (this.#frames.isText) this.#handlers?.onText(bytes, start, end);
    else this.#handlers?.onBinary(bytes.subarray(start, end));
  }

  /** Decides by the header what to do with a frame. */
  #begin(): void {
    const frames = this.#frames;
    const { opcode } = frames;
    const maxMessageBytes = this.#maxMessageBytes;
    if (opcode >= CLOSE) this.#limits.budget.at(performance.now()).control();
    // After our close frame only the bot's close frame matters.
    if (this.#isEnding && opcode !== CLOSE) this.#target = 'nowhere';
    else if (this.#headBytesOfWs > 0 || !frames.isPlain) this.#headToWs(frames.head);
    else if (frames.payloadBytes > maxMessageBytes) this.#refuse(frames.payloadBytes);
    else {
      this.#target = 'message';
      this.#message = Buffer.allocUnsafeSlow(frames.payloadBytes);
      this.#messageBytes = 0;
      if (frames.payloadBytes === 0) this.#deliver(this.#message, 0, 0);
    }
  }

  #headToWs(head: Buffer): void {
    this.#toWs(head.subarray(this.#headBytesOfWs));
    this.#headBytesOfWs = 0;
  }

  #toWs(bytes: Buffer): void {
    this.#target = 'ws';
    (this.#stream as Socket).push(Buffer.from(bytes));
  }

  #refuse(bytes: number): void {
    this.#target = 'nowhere';
    if (bytes <= REFUSED_TIMES_MAX * this.#maxMessageBytes) this.#handlers?.onOversize();
    else this.#handlers?.onMisbehaved(CLOSE_CODE.tooBig, `a message of ${bytes} bytes`);
  }

  #goOn(chunk: Buffer): void {
    const { start, end, owedBytes } = this.#frames;
    if (this.#target === 'ws') return this.#toWs(chunk.subarray(start, end));
    if (this.#target === 'nowhere') return;
    chunk.copy(this.#message, this.#messageBytes, start, end);
    this.#messageBytes += end - start;
    if (owedBytes > 0) return;
    const message = this.#message;
    this.#message = Buffer.alloc(0);
    this.#deliver(message, 0, message.length);
  }
}

/** Does what `ws` does with its options when it connects by itself. */
function secure(options: NetConnectOpts): ConnectionOptions {
  const { host = '', servername = isIP(host) ? '' : host } = options as ConnectionOptions;
  return { ...(options as ConnectionOptions), path: undefined, servername };
}
