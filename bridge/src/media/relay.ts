import { doneWithin } from '../async/time-limit.ts';
import { BargeIn } from '../audio/barge-in.ts';
import { FRAME_MS, silenceByte, type Transcode, transcoder } from '../audio/format.ts';
import type { Pacer, PacerHandle } from '../audio/pacer.ts';
import { PlayoutQueue } from '../audio/playout-queue.ts';
import { comfortTone } from '../audio/tone.ts';
import { Budget } from '../pipecat/budget.ts';
import type { BridgeMessage, Dialect } from '../pipecat/dialect.ts';
import { createDialect } from '../pipecat/dialects.ts';
import { Draft } from '../pipecat/draft.ts';
import type { Disk } from '../recording/disk.ts';
import type { Recorder, RecordingState } from '../recording/recorder.ts';
import type { RtpTransport } from '../rtp/rtp-transport.ts';
import type { RtpSockets } from '../rtp/sockets.ts';
import { BotLink } from './bot-link.ts';
import { BotMessages } from './bot-messages.ts';
import { startRecorder } from './call-recording.ts';
import { Comfort } from './comfort.ts';
import { frameBytes, type LineHooks, NO_FIGURES, openRtpLine, openSocketLine } from './line.ts';
import type { MediaTransport, OnFrame } from './line-transport.ts';
import { LineWatch } from './line-watch.ts';
import type { MediaEvent, MediaFigures, MediaSession, MediaSettings } from './session.ts';

/** Time for the last audio to leave, in addition to the length of the queued audio. */
const DRAIN_SLACK_MS = 1_000;
/** Name of the bridge's own mark. A bot's mark cannot have this name. */
const PLAYED_OUT = '\0played out';
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
export class Relay implements Omit<MediaSession, 'reopen' | 'relays'> {
  readonly #settings: MediaSettings;
  readonly #shared: RelayShared;
  readonly #tell: (event: MediaEvent) => void;
  readonly #line: LineHooks;
  readonly #dialect: Dialect;
  readonly #link: BotLink;
  readonly #queue: PlayoutQueue;
  readonly #messages: BotMessages;
  readonly #budget: Budget;
  readonly #bargeIn: BargeIn | undefined;
  #heldSinceMs = 0;
  /** Undefined: the bot takes the line's encoding. */
  readonly #toBot: Transcode | undefined;
  readonly #toBotBuffer: Buffer;
  readonly #isBinary: boolean;
  #transport: MediaTransport | undefined;
  #rtp: RtpTransport | undefined;
  #relaying = false;
  #pacing: PacerHandle | undefined;
  #recorder: Recorder | undefined;
  readonly #comfort: Comfort;
  #drained: (() => void) | undefined;
  #playedOut: (() => void) | undefined;
  #refusable: (() => void) | undefined;
  /** The connected bot was sent `start`. */
  #started = false;
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
    this.#dialect = createDialect(settings.dialect, start);
    const tone = comfortTone(line);
    this.#comfort = new Comfort(() => {
      if (!this.#relaying || this.#queue.queuedMs > 0) return;
      this.#queue.write(tone, 0, tone.length, shared.now());
    });
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
      onDrained: () => this.#drained?.(),
    });
    if (start.encoding !== line.encoding) this.#toBot = transcoder(line.encoding, start.encoding);
    this.#isBinary = start.framing === 'binary';
    this.#toBotBuffer = Buffer.alloc(frameBytes(line) * 2);
    this.#budget = new Budget(settings.budget);
    this.#messages = new BotMessages(settings, this.#dialect, this.#queue, this.#budget, {
      now: shared.now,
      tell,
      tellBot: (message) => this.tellBot(message),
      clear: () => this.#clear(),
      hangUp: (immediate) => this.hangUp(immediate),
      record: (wanted) => this.#recordAsTold(wanted),
      ended: (detail) => this.#botGone('silent', detail),
      hold: () => this.#link.hold(),
      release: () => this.#link.release(),
      closeBot: (code, why) => void this.#link.close(code, why),
    });
    this.#bargeIn = settings.bargeInHoldMs > 0 ? new BargeIn(line) : undefined;
    this.#link = new BotLink(
      settings.bot,
      {
        onText: (bytes, start, end) => this.#messages.fromText(bytes, start, end),
        onBinary: (data) => this.#messages.fromBinary(data),
        onOversize: () => this.#messages.oversize(),
        onOverBudget: (waitMs) => this.#messages.overBudget(waitMs),
        onMisbehaved: (code, why) => this.#messages.misbehaved(code, why),
        onOpen: (reconnected) => this.#botOpened(reconnected),
        onSeeking: (detail) => this.#botLost(detail),
        isDone: () => this.#messages.hasEnded,
        onGone: (isClean, detail) => this.#botGone(isClean ? 'closed' : 'lost', detail),
      },
      this.#budget,
      shared.now,
    );
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
   * to refuse the call. Rejects with a `BotConnectError`.
   */
  async connectBot(): Promise<void> {
    await this.#link.connect();
    if (this.#settings.startOnAnswer || this.#closed) return;
    const { promise, done } = doneWithin(this.#settings.refusalMs);
    this.#refusable = done;
    await promise;
  }

  /** Resolves when no lost bot is being reconnected. */
  async botSettled(): Promise<void> {
    await this.#link.settled();
  }

  /** Sends a message if the dialect has it. No effect before `start` or without a connection. */
  tellBot(message: BridgeMessage): void {
    if (message.type === 'dtmf') this.#transport?.keyHeard(message.durationMs, this.#shared.now());
    const text = this.#link.isOpen && this.#started ? this.#dialect.encode(message) : undefined;
    if (text !== undefined) this.#link.send(text);
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
    if (this.#settings.startOnAnswer) this.#sayStart(false);
    if (!this.#link.isOpen) this.#comfort.start(true);
    this.tellBot({ type: 'answered' });
    this.#transport?.begin(this.#shared.now());
    if (this.#transport === undefined) return;
    this.#recorder = startRecorder(this.#settings, this.#transport, this.#shared.disk, (event) => {
      // Before the bot: what the bot was told must survive this thread.
      this.#tell(event);
      if (this.#relaying) this.tellBot({ type: 'recording', state: event.state });
    });
  }

  async record(state: 'pause' | 'resume'): Promise<RecordingState | 'off'> {
    this.#recorder?.[state]();
    return this.#recorder?.state ?? 'off';
  }

  /** The bot hangs up: after the audio queued now, or without it if `immediate`. */
  hangUp(immediate = false): void {
    this.#messages.hungUp();
    this.#tell({ type: 'bot-hangup', immediate, queuedMs: this.#unheardMs });
  }

  /** Plays the queued audio and refuses more. Resolves when it was sent, or after a time limit. */
  drain(): Promise<void> {
    if (this.#pacing === undefined || this.#queue.queuedMs === 0) return Promise.resolve();
    const { promise, done } = doneWithin(this.#queue.queuedMs + DRAIN_SLACK_MS);
    this.#drained = done;
    this.#queue.resume();
    this.#queue.drain();
    return promise;
  }

  /** Resolves when the audio queued now was played or cleared, or after a time limit. */
  playedOut(): Promise<void> {
    if (this.#pacing === undefined) return Promise.resolve();
    const { promise, done } = doneWithin(this.#queue.queuedMs + DRAIN_SLACK_MS);
    this.#playedOut = done;
    this.#queue.resume();
    if (!this.#queue.mark(PLAYED_OUT)) done();
    return promise.finally(() => {
      this.#playedOut = undefined;
    });
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
      droppedMessages: this.#link.droppedMessages,
      botPauses: this.#budget.stats.pauses,
      botPausedMs: this.#budget.stats.pausedMs,
      refusedMessages: this.#messages.refused,
    };
  }

  /** Stops the relay and frees the sockets. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#comfort.stop();
    this.#messages.close();
    this.#pacing?.remove();
    this.#pacing = undefined;
    this.#messages.close();
    this.#drained?.();
    this.#playedOut?.();
    this.#refusable?.();
    await Promise.all([this.#link.close(), this.#transport?.close(), this.#recorder?.close()]);
  }

  /** Queued audio of the bot; 0 while it has sent only silence. */
  get #unheardMs(): number {
    return this.#messages.hasSounded ? this.#queue.queuedMs : 0;
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
    if (state === 'start' && this.#drained === undefined && this.#playedOut === undefined) {
      this.#queue.hold();
      this.#heldSinceMs = this.#shared.now();
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
    if (skippedFrames > 0) {
      this.#skippedFrames += skippedFrames;
      transport.skip(skippedFrames);
      this.#queue.skip(skippedFrames);
    }
    const now = this.#shared.now();
    if (this.#queue.held && now - this.#heldSinceMs >= this.#settings.bargeInHoldMs) this.#queue.resume();
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

  #botOpened(reconnected: boolean): void {
    this.#started = false;
    this.#comfort.stop();
    this.#messages.connected();
    if (this.#relaying || !this.#settings.startOnAnswer) this.#sayStart(reconnected);
    if (this.#relaying) this.tellBot({ type: 'answered' });
    const state = this.#recorder?.told;
    if (this.#relaying && state !== undefined) this.tellBot({ type: 'recording', state });
    this.#tell({ type: 'bot-open', reconnected });
  }

  #sayStart(reconnected: boolean): void {
    this.#started = true;
    const { start, isResumed = false } = this.#settings;
    for (const text of this.#dialect.start(start, reconnected || isResumed)) this.#link.send(text);
  }

  /** A bot that leaves before the caller heard anything of it counts as absent. */
  #botGone(how: 'closed' | 'silent' | 'lost', detail: string): void {
    this.#comfort.stop();
    this.#messages.close();
    const isAbsent = how !== 'lost' && !this.#messages.hasActed;
    this.#tell({ type: 'bot-gone', how: isAbsent ? 'absent' : how, detail, queuedMs: this.#unheardMs });
  }

  /** The bot was lost: the caller hears a tone while it is reconnected. */
  #botLost(detail: string): void {
    this.#tell({ type: 'bot-seeking', detail });
    this.#comfort.start();
  }

  /** The recorder reports changes. If there is none, this answers the bot. */
  #recordAsTold(wanted: 'pause' | 'resume'): void {
    const before = this.#recorder?.state ?? 'off';
    this.#recorder?.[wanted]();
    if ((this.#recorder?.state ?? 'off') === before) this.tellBot({ type: 'recording', state: before });
  }

  #markReached(name: string, cleared: boolean): void {
    if (name === PLAYED_OUT) this.#playedOut?.();
    else this.tellBot({ type: 'mark', name, cleared });
  }

  #clear(): void {
    this.#messages.cleared();
    const ms = this.#queue.clear();
    this.#transport?.flush();
    this.#recorder?.flushed();
    this.tellBot({ type: 'cleared', ms: Math.round(ms) });
  }
}
