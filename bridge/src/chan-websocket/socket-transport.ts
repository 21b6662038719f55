import { WebSocket } from 'ws';
import { FRAME_MS, IDLE_MS, MAX_LEAD_MS } from '../units/audio.ts';
import { CallerAudio } from './caller-audio.ts';
import { FLUSH_MEDIA, GET_STATUS, parseMediaEvent } from './messages.ts';

/** Close code of a normal end (RFC 6455 section 7.4.1). */
const NORMAL_CLOSE = 1000;
/**
 * Frames sent ahead of the grid. Asterisk plays by its own timer. Without queued frames each tick
 * that is later than Asterisk's would cause a gap.
 */
const LEAD_FRAMES = 2;
/**
 * After a pause of Asterisk's audio this long it is asked what it has queued, ms. If it stood still
 * it reads all that was sent meanwhile, and plays it from then on: the caller would hear the bot
 * late for the rest of the call.
 */
const STOOD_STILL_MS = 300;
/** More queued frames than this are old. */
const QUEUED_MAX = 15;
const POOL_FRAMES = 16;
const CLOSE_MS = 1_000;
const MESSAGE_MAX_BYTES = 65_536;

/** Asterisk's media WebSocket could not be opened, or has another format than requested. */
export class MediaSocketError extends Error {
  override name = 'MediaSocketError';
  readonly code = 'media-socket';
}

/** Settings of one call's media WebSocket. */
export interface ChanWebsocketOptions {
  /** `ws://…/media/CONNECTION_ID`. */
  readonly url: string;
  /** Value of the Authorization header: ARI's credentials. */
  readonly authorization: string;
  /** Asterisk's name: `slin`, `slin16`, `slin24`, `ulaw`, `alaw`. */
  readonly format: string;
  readonly frameBytes: number;
  /** The byte value of silence. */
  readonly silence: number;
  readonly onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
  /** The socket closed, but not by `close`. */
  readonly onClosed: () => void;
  /** Monotonic clock, ms. */
  readonly now: () => number;
}

/** Audio over Asterisk's WebSocket (chan_websocket, server mode), used for wideband. */
export class ChanWebsocketTransport {
  readonly payloadOffset = 0;
  /** The lead, plus half a frame: the average time until Asterisk's next tick. */
  readonly playoutDelayMs = (LEAD_FRAMES + 0.5) * FRAME_MS;
  #lastReceivedMs: number;
  readonly #options: ChanWebsocketOptions;
  readonly #socket: WebSocket;
  readonly #pool: Buffer[];
  #poolIndex = 0;
  readonly #caller: CallerAudio;
  #framesSent = 0;
  #malformed = 0;
  /** Frames of the lead that must be sent (again). */
  #leadDue = LEAD_FRAMES;
  #blocked = false;
  #sendErrors = 0;
  #closing: Promise<void> | undefined;

  private constructor(socket: WebSocket, options: ChanWebsocketOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#lastReceivedMs = options.now();
    const { frameBytes, silence, onFrame } = options;
    this.#caller = new CallerAudio({
      frameBytes,
      silence,
      onFrame,
      frameMs: FRAME_MS,
      idleMs: IDLE_MS,
      maxLeadMs: MAX_LEAD_MS,
    });
    this.#pool = Array.from({ length: POOL_FRAMES }, () => Buffer.alloc(options.frameBytes));
  }

  /** When data last arrived from Asterisk, by the relay's clock, ms. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  /**
   * Connects to the media channel, which then enters Stasis. Rejects with {@link MediaSocketError}
   * if it is refused, if `signal` fires, or if MEDIA_START has another format or frame size.
   */
  static open(options: ChanWebsocketOptions, signal: AbortSignal): Promise<ChanWebsocketTransport> {
    const socket = new WebSocket(options.url, 'media', {
      headers: { authorization: options.authorization },
      perMessageDeflate: false,
      maxPayload: MESSAGE_MAX_BYTES,
      skipUTF8Validation: true,
    });
    const transport = new ChanWebsocketTransport(socket, options);
    return new Promise((resolve, reject) => {
      const fail = (detail: string) => {
        signal.removeEventListener('abort', aborted);
        reject(new MediaSocketError(detail));
        socket.terminate();
      };
      const aborted = () => fail('no MEDIA_START in time');
      signal.addEventListener('abort', aborted, { once: true });
      socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      socket.on('close', () => {
        fail('closed before MEDIA_START');
        if (transport.#closing === undefined) options.onClosed();
      });
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        if (isBinary) return transport.#receive(data);
        const problem = transport.#control(data.toString('utf8'));
        if (problem === undefined) return;
        signal.removeEventListener('abort', aborted);
        if (problem === '') resolve(transport);
        else fail(problem);
      });
    });
  }

  frame(): Buffer {
    this.#poolIndex = (this.#poolIndex + 1) % POOL_FRAMES;
    return this.#pool[this.#poolIndex] as Buffer;
  }

  send(frame: Buffer): void {
    if (this.#socket.readyState !== WebSocket.OPEN || this.#blocked) {
      this.#sendErrors += 1;
      return;
    }
    if (this.#leadDue > 0) this.#sendLead();
    this.#framesSent += 1;
    this.#socket.send(frame);
  }

  /** Skipped frames have used up the lead. It is filled again with silence. */
  skip(frames: number): void {
    this.#leadDue = Math.min(LEAD_FRAMES, this.#leadDue + frames);
  }

  tick(nowMs: number): void {
    this.#caller.tick(nowMs);
  }

  begin(nowMs: number): void {
    this.#caller.begin(nowMs);
  }

  get hasReceived(): boolean {
    return this.#caller.received > 0;
  }

  /** Nothing to do: messages have no sequence numbers, so a key press leaves no gap. */
  keyHeard(): void {}

  flush(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(FLUSH_MEDIA);
    this.#leadDue = LEAD_FRAMES;
  }

  figures() {
    return {
      packetsReceived: this.#caller.received,
      packetsSent: this.#framesSent,
      lost: 0,
      late: 0,
      duplicates: 0,
      reordered: 0,
      concealedFrames: 0,
      ssrcChanges: 0,
      jitterMs: 0,
      early: this.#caller.early,
      filledFrames: this.#caller.filledFrames,
      malformed: this.#malformed,
      longestGapMs: this.#caller.longestGapMs,
      sendErrors: this.#sendErrors,
    };
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      if (this.#socket.readyState === WebSocket.CLOSED) return resolve();
      const limit = setTimeout(() => this.#socket.terminate(), CLOSE_MS);
      this.#socket.once('close', () => {
        clearTimeout(limit);
        resolve();
      });
      this.#socket.close(NORMAL_CLOSE);
    });
    return this.#closing;
  }

  #sendLead(): void {
    for (; this.#leadDue > 0; this.#leadDue--) {
      const frame = this.frame();
      frame.fill(this.#options.silence);
      this.#socket.send(frame);
    }
  }

  #receive(data: Buffer): void {
    const now = this.#options.now();
    const isAfterPause = this.#caller.received > 0 && now - this.#lastReceivedMs > STOOD_STILL_MS;
    if (isAfterPause && this.#socket.readyState === WebSocket.OPEN) this.#socket.send(GET_STATUS);
    this.#lastReceivedMs = now;
    this.#caller.push(data, now);
  }

  /** Returns '' for the expected MEDIA_START, the problem of another one, else undefined. */
  #control(text: string): string | undefined {
    try {
      const message = parseMediaEvent(text);
      if (message.event === 'MEDIA_XOFF') this.#blocked = true;
      if (message.event === 'MEDIA_XON') this.#blocked = false;
      if (message.event === 'STATUS' && message.queue_length > QUEUED_MAX) this.flush();
      if (message.event !== 'MEDIA_START') return undefined;
      const isAsAsked =
        message.format === this.#options.format && message.optimal_frame_size === this.#options.frameBytes;
      return isAsAsked
        ? ''
        : `Asterisk offers ${message.format} in frames of ${message.optimal_frame_size} bytes`;
    } catch {
      this.#malformed += 1;
      return undefined;
    }
  }
}
