import { randomInt } from 'node:crypto';
import { type Encoding, silenceByte, type Transcode, transcoder } from './audio/format.ts';
import type { Pacer, PacerHandle } from './audio/pacer.ts';
import { PlayoutQueue } from './audio/playout-queue.ts';
import { type BotConnection, type BotLimits, type BotTarget, connectBot } from './pipecat/client.ts';
import type { BadCode, BotMessage, Dialect } from './pipecat/dialect.ts';
import { decodeBase64 } from './pipecat/native.ts';
import { RTP_HEADER_BYTES } from './rtp/packet.ts';
import type { PortPool } from './rtp/ports.ts';
import { RtpReceiver } from './rtp/receiver.ts';
import { RtpSender } from './rtp/sender.ts';
import { openRtpSocket, type RtpSocket } from './rtp/socket.ts';

/** Samples, and in G.711 bytes, of a frame of 20 ms at 8 kHz. */
const FRAME_SAMPLES = 160;
const FRAME_MS = 20;
const SAMPLE_RATE = 8_000;
/** Static RTP payload types (RFC 3551 table 4). */
const PAYLOAD_TYPES = { pcmu: 0, pcma: 8 } as const;
/** Of telephone events (RFC 4733) on Asterisk's external media; the digits come by ARI. */
const DTMF_PAYLOAD_TYPE = 101;
/** An `error` event to the bot at most this often. */
const ERROR_EVERY_MS = 1_000;
const OPEN_TRIES = 8;
/** How long a packet may wait for one before it. */
const MAX_REORDER_MS = 60;
/** Without a packet for so long the caller's side is silent on the wire, and silence is put in. */
const IDLE_MS = 200;

/** G.711 on the RTP side, as Asterisk names it. */
export type RtpEncoding = keyof typeof PAYLOAD_TYPES;

/** What one call's media needs to know. */
export interface MediaSettings {
  /** Our own address for RTP. */
  readonly address: string;
  readonly rtpEncoding: RtpEncoding;
  /** What the bot is sent, and what it sends unless it says otherwise. */
  readonly botEncoding: Encoding;
  readonly prebufferMs: number;
  readonly queueMs: number;
  readonly maxBadMessages: number;
  /** Without a packet from Asterisk for so long the media is dead; 0: never. */
  readonly mediaTimeoutMs: number;
}

/** What all calls of a process share. */
export interface MediaShared {
  readonly ports: PortPool;
  readonly pacer: Pacer;
  /** Monotonic clock, in ms. */
  readonly now: () => number;
}

/** What the call is told; never from within a call of its own. */
export interface MediaHandlers {
  readonly onBotHangup: (immediate: boolean) => void;
  readonly onBotDtmf: (digits: string) => void;
  readonly onBotTransfer: (to: string) => void;
  readonly onFirstBotAudio: () => void;
  readonly onFirstCallerAudio: () => void;
  readonly onBotClosed: (code: number, reason: string) => void;
  /** More bad messages in a row than allowed: the socket is being closed with 1008. */
  readonly onBotMisbehaved: () => void;
  readonly onMediaTimeout: () => void;
}

/** No UDP port of the configured range could be had. */
export class NoPortError extends Error {
  override name = 'NoPortError';
}

/** One call's audio: its RTP socket, its bot's WebSocket, and the relay between the two. Owns both; `close()` ends both. */
export class Media {
  readonly #settings: MediaSettings;
  readonly #shared: MediaShared;
  readonly #handlers: MediaHandlers;
  readonly #dialect: Dialect;
  readonly #socket: RtpSocket;
  readonly #receiver: RtpReceiver;
  readonly #sender: RtpSender;
  readonly #queue: PlayoutQueue;
  readonly #toBot: Transcode;
  readonly #toBotBuffer: Buffer;
  #bot: BotConnection | undefined;
  #relaying = false;
  #pacing: PacerHandle | undefined;
  #drained: (() => void) | undefined;
  #fromBot: Transcode;
  #fromBotEncoding: Encoding;
  #fromBotBuffer = Buffer.alloc(0);
  #oddByte: number | undefined;
  #lastDatagramMs = 0;
  #badInARow = 0;
  #lastErrorMs = Number.NEGATIVE_INFINITY;
  #callerHeard = false;
  #botHeard = false;
  #droppedMessages = 0;
  /** Messages from the bot that were refused, by what was wrong. */
  readonly refused = new Map<BadCode, number>();

  private constructor(
    settings: MediaSettings,
    shared: MediaShared,
    handlers: MediaHandlers,
    dialect: Dialect,
    socket: RtpSocket,
  ) {
    this.#settings = settings;
    this.#shared = shared;
    this.#handlers = handlers;
    this.#dialect = dialect;
    this.#socket = socket;
    const silence = silenceByte(settings.rtpEncoding);
    this.#receiver = new RtpReceiver({
      payloadType: PAYLOAD_TYPES[settings.rtpEncoding],
      dtmfPayloadType: DTMF_PAYLOAD_TYPE,
      clockRate: SAMPLE_RATE,
      frameSamples: FRAME_SAMPLES,
      frameBytes: FRAME_SAMPLES,
      silence,
      maxReorderMs: MAX_REORDER_MS,
      idleMs: IDLE_MS,
      onFrame: (source, start, end, timestampMs) => this.#relayFrame(source, start, end, timestampMs),
    });
    this.#sender = new RtpSender({
      payloadType: PAYLOAD_TYPES[settings.rtpEncoding],
      frameSamples: FRAME_SAMPLES,
      frameBytes: FRAME_SAMPLES,
      // RFC 3550 section 5.1: all three start at random.
      ssrc: randomInt(2 ** 32),
      sequenceNumber: randomInt(2 ** 16),
      timestamp: randomInt(2 ** 32),
    });
    this.#queue = new PlayoutQueue({
      bytesPerFrame: FRAME_SAMPLES,
      frameMs: FRAME_MS,
      silence,
      prebufferMs: settings.prebufferMs,
      maxMs: settings.queueMs,
      onMark: (name, cleared) => this.#bot?.send(this.#dialect.mark(name, cleared)),
      onDrained: () => this.#drained?.(),
    });
    this.#toBot = transcoder(settings.rtpEncoding, settings.botEncoding);
    this.#toBotBuffer = Buffer.alloc(FRAME_SAMPLES * 2);
    this.#fromBotEncoding = settings.botEncoding;
    this.#fromBot = transcoder(settings.botEncoding, settings.rtpEncoding);
    socket.onDatagram = (datagram) => this.#receive(datagram);
  }

  /** Opens a UDP port of the pool. Rejects with {@link NoPortError}. */
  static async open(
    settings: MediaSettings,
    shared: MediaShared,
    handlers: MediaHandlers,
    dialect: Dialect,
  ): Promise<Media> {
    // A port of the range may be held by another process: the next ones are tried.
    for (let attempt = 0; attempt < OPEN_TRIES; attempt++) {
      const port = shared.ports.take();
      if (port === undefined) throw new NoPortError('all RTP ports are in use');
      try {
        const socket = await openRtpSocket({ address: settings.address, port });
        return new Media(settings, shared, handlers, dialect, socket);
      } catch {
        shared.ports.release(port);
      }
    }
    throw new NoPortError(`${OPEN_TRIES} RTP ports in a row cannot be opened`);
  }

  /** Our UDP port, where Asterisk is to send. */
  get rtpPort(): number {
    return this.#socket.localPort;
  }

  /** Whether a bot is connected. */
  get hasBot(): boolean {
    return this.#bot !== undefined;
  }

  /** Audio that waits to be played to the caller, in ms. */
  get queuedMs(): number {
    return this.#queue.queuedMs;
  }

  /** Whether the bot has sent audio. */
  get botHeard(): boolean {
    return this.#botHeard;
  }

  /** Sets where our packets go, and the only source that is heard. */
  async connectRtp(address: string, port: number): Promise<void> {
    await this.#socket.connect(address, port);
  }

  /** Opens the WebSocket to the bot: one try. Rejects with a `BotConnectError`. */
  async connectBot(target: BotTarget, limits: BotLimits, signal: AbortSignal): Promise<void> {
    this.#bot = await connectBot(
      target,
      limits,
      {
        onText: (text) => this.#fromText(text),
        onRefused: (what) => this.#refuse(what, `a ${what} message`),
        onClosed: (code, reason) => this.#botClosed(code, reason),
      },
      signal,
    );
  }

  /** Sends a control message to the bot; without effect while none is connected. */
  tellBot(text: string): void {
    this.#bot?.send(text);
  }

  /** The bot's last message: it hears nothing after this. */
  dismissBot(text: string): void {
    this.#relaying = false;
    this.#bot?.send(text);
  }

  /** From now on the bot hears the caller and the caller the bot. */
  startRelay(): void {
    this.#relaying = true;
    this.#lastDatagramMs = this.#shared.now();
    this.#pacing = this.#shared.pacer.add((skippedFrames) => this.#tick(skippedFrames));
  }

  /** Resolves when the caller has been sent all that is queued; at once where nothing is. */
  drain(): Promise<void> {
    if (this.#pacing === undefined || this.#queue.queuedMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#queue.drain();
    });
  }

  /** Puts audio of ours (G.711 as on the RTP side) into the playout: comfort while the bot is away. */
  play(audio: Buffer): void {
    this.#queue.write(audio, 0, audio.length, this.#shared.now());
  }

  /** Empties the playout. */
  clear(): void {
    this.#queue.clear();
  }

  /** Ends the bot's connection with a close code. */
  async closeBot(code: number): Promise<void> {
    await this.#bot?.close(code);
  }

  /** Stops the relay and frees the port and the bot's socket. */
  async close(): Promise<void> {
    this.#pacing?.remove();
    this.#pacing = undefined;
    this.#drained?.();
    this.#receiver.flush();
    await Promise.all([this.#bot?.close(1000), this.#socket.close()]);
    this.#shared.ports.release(this.#socket.localPort);
  }

  /** What the relay has counted so far. */
  figures() {
    return {
      rtpIn: { ...this.#receiver.stats },
      rtpOut: { packets: this.#sender.packetsSent, errors: this.#socket.stats.errors },
      refusedDatagrams: this.#socket.stats.datagramsRefused,
      playout: { ...this.#queue.stats },
      droppedMessages: this.#droppedMessages + (this.#bot?.droppedMessages ?? 0),
      refusedMessages: Object.fromEntries(this.refused),
    };
  }

  #receive(datagram: Buffer): void {
    const now = this.#shared.now();
    this.#lastDatagramMs = now;
    this.#receiver.push(datagram, now);
  }

  #relayFrame(source: Buffer, start: number, end: number, timestampMs: number): void {
    const bot = this.#bot;
    if (!this.#callerHeard) {
      this.#callerHeard = true;
      this.#handlers.onFirstCallerAudio();
    }
    if (bot === undefined || !this.#relaying) return;
    if (this.#settings.botEncoding === this.#settings.rtpEncoding) {
      bot.sendMedia(this.#dialect.media(source, start, end, timestampMs));
      return;
    }
    // A frame of more than 20 ms is rare; the usual one needs no buffer of its own.
    const bytes = (end - start) * 2;
    const target = bytes <= this.#toBotBuffer.length ? this.#toBotBuffer : Buffer.alloc(bytes);
    const written = this.#toBot(source, start, end, target, 0);
    bot.sendMedia(this.#dialect.media(target, 0, written, timestampMs));
  }

  #tick(skippedFrames: number): void {
    if (skippedFrames > 0) this.#sender.skip(skippedFrames);
    const packet = this.#sender.next();
    const now = this.#shared.now();
    this.#queue.read(packet, RTP_HEADER_BYTES, now);
    this.#socket.send(packet);
    this.#receiver.tick(now);
    const { mediaTimeoutMs } = this.#settings;
    if (mediaTimeoutMs > 0 && now - this.#lastDatagramMs > mediaTimeoutMs) {
      this.#lastDatagramMs = Number.POSITIVE_INFINITY;
      this.#handlers.onMediaTimeout();
    }
  }

  #fromText(text: string): void {
    const message = this.#dialect.decode(text);
    if (message.type === 'bad') return this.#refuse(message.code, message.detail);
    if (message.type === 'media') return this.#fromMedia(message);
    this.#badInARow = 0;
    switch (message.type) {
      case 'clear':
        this.#oddByte = undefined;
        this.#queue.clear();
        return;
      case 'mark':
        if (!this.#queue.mark(message.name)) this.#refuse('bad-field', 'too many marks wait');
        return;
      case 'hangup':
        return this.#handlers.onBotHangup(message.immediate);
      case 'dtmf':
        return this.#handlers.onBotDtmf(message.digits);
      case 'transfer':
        return this.#handlers.onBotTransfer(message.to);
      case 'unknown':
        return;
    }
  }

  #fromMedia(message: Extract<BotMessage, { type: 'media' }>): void {
    if (message.sampleRate !== SAMPLE_RATE) {
      return this.#refuse('wrong-encoding', `this call takes ${SAMPLE_RATE} Hz, not ${message.sampleRate}`);
    }
    const written =
      message.encoding === this.#settings.rtpEncoding
        ? this.#queue.writeBase64(message.payload, this.#shared.now())
        : this.#writeTranscoded(message.payload, message.encoding);
    if (written < 0) return this.#refuse('bad-base64', 'media.payload is not base64');
    this.#badInARow = 0;
    if (written === 0 || this.#botHeard) return;
    this.#botHeard = true;
    this.#handlers.onFirstBotAudio();
  }

  /** Queues audio of another encoding than RTP's; returns the bytes queued, -1 where it is not base64. */
  #writeTranscoded(base64: string, encoding: Encoding): number {
    const bytes = decodeBase64(base64);
    if (bytes === undefined) return -1;
    if (encoding !== this.#fromBotEncoding) {
      this.#fromBotEncoding = encoding;
      this.#fromBot = transcoder(encoding, this.#settings.rtpEncoding);
      this.#oddByte = undefined;
    }
    const payload = encoding === 'pcm16' ? this.#wholeSamples(bytes) : bytes;
    if (this.#fromBotBuffer.length < payload.length) this.#fromBotBuffer = Buffer.alloc(payload.length);
    const converted = this.#fromBot(payload, 0, payload.length, this.#fromBotBuffer, 0);
    return this.#queue.write(this.#fromBotBuffer, 0, converted, this.#shared.now());
  }

  /** A message may end in the middle of a 16-bit sample: its first byte waits for the next message. */
  #wholeSamples(payload: Buffer): Buffer {
    const bytes = this.#oddByte === undefined ? payload : Buffer.concat([Buffer.of(this.#oddByte), payload]);
    const isOdd = bytes.length % 2 === 1;
    this.#oddByte = isOdd ? bytes[bytes.length - 1] : undefined;
    return isOdd ? bytes.subarray(0, -1) : bytes;
  }

  #refuse(code: BadCode, detail: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
    this.#badInARow += 1;
    if (this.#badInARow > this.#settings.maxBadMessages) {
      void this.#bot?.close(1008);
      this.#handlers.onBotMisbehaved();
      return;
    }
    const now = this.#shared.now();
    if (now - this.#lastErrorMs < ERROR_EVERY_MS) return;
    this.#lastErrorMs = now;
    this.#bot?.send(this.#dialect.error(code, detail));
  }

  #botClosed(code: number, reason: string): void {
    this.#droppedMessages += this.#bot?.droppedMessages ?? 0;
    this.#bot = undefined;
    this.#badInARow = 0;
    this.#oddByte = undefined;
    this.#handlers.onBotClosed(code, reason);
  }
}
