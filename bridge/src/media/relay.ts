import { BargeIn } from '../audio/barge-in.ts';
import { FRAME_MS, silenceByte, type Transcode, transcoder } from '../audio/format.ts';
import type { Pacer, PacerHandle } from '../audio/pacer.ts';
import { PlayoutQueue } from '../audio/playout-queue.ts';
import type { BridgeMessage, Dialect, RecordingRequest } from '../pipecat/dialect.ts';
import { Draft } from '../pipecat/draft.ts';
import type { Disk } from '../recording/disk.ts';
import type { Recorder, RecordingState } from '../recording/recorder.ts';
import type { RtpTransport } from '../rtp/rtp-transport.ts';
import type { RtpSockets } from '../rtp/sockets.ts';
import type { BotLink } from './bot-link.ts';
import { BotSide } from './bot-side.ts';
import { startRecorder } from './call-recording.ts';
import { frameBytes, type LineHooks, NO_FIGURES, openRtpLine, openSocketLine } from './line.ts';
import type { MediaTransport, OnFrame } from './line-transport.ts';
import { LineWatch } from './line-watch.ts';
import { PlayoutEnd } from './playout-end.ts';
import type { MediaEvent, MediaFigures, MediaSession, MediaSettings } from './session.ts';

/** Shared by all calls of a thread: a message is sent before the next one is made. */
const draft = new Draft();

/** What all calls of a thread share. */
export interface RelayShared {
  readonly sockets: RtpSockets;
  readonly pacer: Pacer;
  readonly disk: Disk;
  /** Monotonic clock, ms. */
  readonly now: () => number;
}

/** Relays one call's audio between Asterisk and the bot. Owns both transports and closes them. */
export class Relay implements Omit<MediaSession, 'reopen' | 'abandon' | 'relays' | 'connectBot'> {
  readonly #settings: MediaSettings;
  readonly #shared: RelayShared;
  readonly #tell: (event: MediaEvent) => void;
  readonly #line: LineHooks;
  readonly #bot: BotSide;
  /** Link and dialect of `#bot`, for the packet path. */
  readonly #link: BotLink;
  readonly #dialect: Dialect;
  readonly #queue: PlayoutQueue;
  readonly #playoutEnd: PlayoutEnd;
  readonly #bargeIn: BargeIn | undefined;
  #pausedSinceMs = 0;
  /** Undefined: the bot takes the line's encoding. */
  readonly #toBot: Transcode | undefined;
  readonly #toBotBuffer: Buffer;
  readonly #isBinary: boolean;
  #transport: MediaTransport | undefined;
  #rtp: RtpTransport | undefined;
  #relaying = false;
  #pacing: PacerHandle | undefined;
  #recorder: Recorder | undefined;
  #callerHeard = false;
  #skippedFrames = 0;
  #closed = false;
  readonly #watch: LineWatch;

  private constructor(settings: MediaSettings, shared: RelayShared, tell: (event: MediaEvent) => void) {
    this.#settings = settings;
    this.#shared = shared;
    this.#tell = tell;
    const onFrame: OnFrame = (source, start, end, atMs) => this.#relayFrame(source, start, end, atMs);
    this.#line = { onFrame, now: shared.now };
    const { line, start } = settings;
    this.#watch = new LineWatch(settings, line.encoding);
    this.#queue = new PlayoutQueue({
      bytesPerFrame: frameBytes(line),
      frameMs: FRAME_MS,
      silence: silenceByte(line.encoding),
      encoding: line.encoding,
      prebufferMs: settings.prebufferMs,
      trailingSilenceMs: settings.trailingSilenceMs,
      maxMs: settings.queueMs,
      onMark: (name, cleared) => this.#markReached(name, cleared),
      onDrained: () => this.#playoutEnd.drained(),
    });
    this.#playoutEnd = new PlayoutEnd(this.#queue);
    if (start.encoding !== line.encoding) this.#toBot = transcoder(line.encoding, start.encoding);
    this.#isBinary = start.framing === 'binary';
    this.#toBotBuffer = Buffer.alloc(frameBytes(line) * 2);
    this.#bargeIn = settings.bargeInHoldMs > 0 ? new BargeIn(line) : undefined;
    this.#bot = new BotSide(settings, this.#queue, {
      now: shared.now,
      tell,
      isRelaying: () => this.#relaying,
      recording: () => this.#recorder?.told,
      clear: () => this.#clear(),
      record: (wanted) => this.#recordAsTold(wanted),
    });
    this.#link = this.#bot.link;
    this.#dialect = this.#bot.dialect;
  }

  /** Joins a UDP port if the transport is RTP. Rejects with `NoPortError`. */
  static async open(
    settings: MediaSettings,
    shared: RelayShared,
    tell: (event: MediaEvent) => void,
  ): Promise<Relay> {
    const media = new Relay(settings, shared, tell);
    if (settings.transport === 'rtp') {
      media.#rtp = openRtpLine(settings, shared.sockets, media.#line);
      media.#transport = media.#rtp;
    }
    return media;
  }

  get rtpPort(): number {
    return this.#rtp?.localPort ?? 0;
  }

  get hasBot(): boolean {
    return this.#link.isOpen;
  }

  /** Sets the destination of RTP packets, which is also the only accepted source. */
  async connectRtp(address: string, port: number): Promise<void> {
    this.#rtp?.connect(address, port);
  }

  /** Opens Asterisk's media WebSocket. Rejects with a `MediaSocketError`. */
  async connectSocket(url: string, authorization: string): Promise<void> {
    const onClosed = () => this.#tell({ type: 'lost', detail: "Asterisk's media socket closed" });
    const transport = await openSocketLine(this.#settings, url, authorization, this.#line, onClosed);
    this.#transport = transport;
    if (this.#closed) await transport.close();
  }

  /**
   * Connects the bot within its limits and sends `start`. Resolves when the bot has had `refusalMs`
   * to refuse the call. Rejects with a `BotConnectError`. `mayTry`: the first try may begin.
   */
  async connectBot(mayTry: boolean): Promise<void> {
    if (mayTry) this.mayTry();
    await this.#bot.connect();
  }

  /** The next try to connect the bot may begin. */
  mayTry(): void {
    this.#bot.permit.grant();
  }

  /** Resolves when no lost bot is being reconnected. */
  async botSettled(): Promise<void> {
    await this.#link.settled();
  }

  /** Sends a message if the dialect has it. No effect before `start` or without a connection. */
  tellBot(message: BridgeMessage): void {
    if (message.type === 'dtmf') this.#transport?.keyHeard(message.durationMs, this.#shared.now());
    this.#bot.tell(message);
  }

  /** Sends the bot's last message. It gets no audio afterwards. */
  dismissBot(message: BridgeMessage): void {
    this.#relaying = false;
    this.tellBot(message);
  }

  /** Starts relaying audio between caller and bot. */
  startRelay(): void {
    if (this.#closed) return;
    this.#relaying = true;
    this.expectAudio(true);
    this.#pacing = this.#shared.pacer.add((skippedFrames) => this.#tick(skippedFrames));
    this.#bot.begin();
    this.#transport?.begin(this.#shared.now());
    if (this.#transport === undefined) return;
    this.#recorder = startRecorder(this.#settings, this.#transport, this.#shared.disk, (event) => {
      // Before the bot: what the bot was told must survive this thread.
      this.#tell(event);
      if (this.#relaying) this.tellBot({ type: 'recording', state: event.state });
    });
  }

  async record(state: RecordingRequest): Promise<RecordingState | 'off'> {
    this.#recorder?.[state]();
    return this.#recorder?.state ?? 'off';
  }

  /** The bot hangs up: after the audio queued now, or without it if `immediate`. */
  hangUp(immediate?: boolean): void {
    this.#bot.hangUp(immediate);
  }

  /** Plays the queued audio and refuses more. Resolves when it was sent, or after a time limit. */
  drain(): Promise<void> {
    return this.#pacing === undefined ? Promise.resolve() : this.#playoutEnd.drain();
  }

  /** Resolves when the audio queued now was played or cleared, or after a time limit. */
  playedOut(): Promise<void> {
    return this.#pacing === undefined ? Promise.resolve() : this.#playoutEnd.playedOut();
  }

  /** Sets whether Asterisk sends audio: not while the call is on hold or transferred. */
  expectAudio(isExpected: boolean): void {
    this.#watch.expect(isExpected, this.#shared.now());
  }

  /** The caller is present although no audio arrives. */
  lineLives(): void {
    this.#watch.lives(this.#shared.now());
  }

  async figures(): Promise<MediaFigures> {
    return {
      line: this.#transport?.figures() ?? NO_FIGURES,
      playout: { ...this.#queue.stats },
      recording: this.#recorder?.figures,
      skippedFrames: this.#skippedFrames,
      ...this.#bot.figures,
    };
  }

  /** Stops the relay and frees the sockets. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pacing?.remove();
    this.#pacing = undefined;
    this.#playoutEnd.close();
    await Promise.all([this.#bot.close(), this.#transport?.close(), this.#recorder?.close()]);
  }

  #relayFrame(source: Buffer, start: number, end: number, timestampMs: number): void {
    if (this.#callerHeard || this.#transport?.hasReceived) {
      if (!this.#callerHeard) this.#tell({ type: 'first-caller-audio' });
      this.#callerHeard = true;
      const receivedMs = this.#transport?.lastReceivedMs ?? 0;
      this.#recorder?.heard(source, start, end, timestampMs, receivedMs, this.#shared.now());
      this.#watch.heard(source, start, end, receivedMs);
    }
    if (!this.#relaying || !this.#link.isOpen) return;
    this.#listenForSpeech(source, start, end);
    if (this.#toBot === undefined) return this.#sendFrame(source, start, end, timestampMs);
    // Frames of more than 20 ms are rare. Others fit into the shared buffer.
    const bytes = (end - start) * 2;
    const target = bytes <= this.#toBotBuffer.length ? this.#toBotBuffer : Buffer.alloc(bytes);
    this.#sendFrame(target, 0, this.#toBot(source, start, end, target, 0), timestampMs);
  }

  /** The caller speaks while the bot plays: pauses the playout until the bot decides. */
  #listenForSpeech(source: Buffer, start: number, end: number): void {
    const state = this.#bargeIn?.heard(source, start, end);
    if (state === undefined) return;
    // Not during the last audio of a call: the bot cannot resume it any more.
    if (state === 'start' && !this.#playoutEnd.isAwaited) {
      this.#queue.pause();
      this.#pausedSinceMs = this.#shared.now();
    }
    this.tellBot({ type: 'speech', state });
  }

  #sendFrame(source: Buffer, start: number, end: number, timestampMs: number): void {
    if (this.#isBinary) {
      draft.begin(false, end - start);
      draft.copy(source, start, end);
    } else this.#dialect.media(draft, source, start, end, timestampMs);
    this.#link.sendMedia(draft);
  }

  #tick(skippedFrames: number): void {
    const transport = this.#transport;
    if (transport === undefined) return;
    const now = this.#shared.now();
    if (skippedFrames > 0) {
      this.#skippedFrames += skippedFrames;
      transport.skip(skippedFrames);
      this.#queue.skip(skippedFrames);
      this.#watch.missed(skippedFrames * FRAME_MS, now);
    }
    if (this.#queue.isPaused && now - this.#pausedSinceMs >= this.#settings.bargeInHoldMs)
      this.#queue.resume();
    const frame = transport.frame();
    const kind = this.#queue.read(frame, transport.payloadOffset, now);
    this.#bargeIn?.played(frame, transport.payloadOffset, frame.length, kind === 'audio');
    this.#recorder?.played(frame, transport.payloadOffset, skippedFrames, now);
    transport.send(frame);
    transport.tick(now);
    if (kind === 'audio') this.#watch.heard(frame, transport.payloadOffset, frame.length, now);
    const problem = this.#watch.check(transport.lastReceivedMs, now);
    if (problem !== undefined) this.#tell({ type: problem });
  }

  /** The recorder reports changes. If there is none, this answers the bot. */
  #recordAsTold(wanted: RecordingRequest): void {
    const before = this.#recorder?.state ?? 'off';
    this.#recorder?.[wanted]();
    if ((this.#recorder?.state ?? 'off') === before) this.tellBot({ type: 'recording', state: before });
  }

  #markReached(name: string, cleared: boolean): void {
    if (!this.#playoutEnd.reached(name)) this.tellBot({ type: 'mark', name, cleared });
  }

  #clear(): void {
    this.#bot.cleared();
    const ms = this.#queue.clear();
    this.#transport?.flush();
    this.#recorder?.flushed();
    this.tellBot({ type: 'cleared', ms: Math.round(ms) });
  }
}
