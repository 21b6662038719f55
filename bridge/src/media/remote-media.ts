import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { BridgeMessage, RecordingRequest } from '../pipecat/dialect.ts';
import { recordingName } from '../recording/files.ts';
import type { RecordingState } from '../recording/recorder.ts';
import type { BotAccess, BotSeeker } from './bot-access.ts';
import { MediaError } from './media-error.ts';
import type { MediaEvent, MediaFigures, MediaSession, MediaSettings } from './session.ts';
import type { MediaRequest } from './worker-messages.ts';

/** A worker, as a call's media session sees it. */
export interface SessionThread {
  /**
   * Sends a request and waits for its reply. Rejects with a {@link MediaError}, also if the worker
   * dies.
   */
  ask(session: number, request: MediaRequest): Promise<unknown>;
  /** Sends a request without a reply. */
  tell(session: number, request: MediaRequest): void;
  forget(session: number): void;
}

/** Events that show that the bot did something for the caller. */
const ACTS: ReadonlySet<MediaEvent['type']> = new Set(['first-bot-audio', 'bot-dtmf', 'bot-transfer']);

/** Worker and id of a call's media. */
export interface Place {
  readonly thread: SessionThread;
  readonly id: number;
}

/**
 * A call's media in a worker: every method is a request to it. If the worker dies, or Asterisk
 * closes its media socket, the media can be opened again, in this worker or another.
 */
export class RemoteMedia implements MediaSession, BotSeeker {
  readonly #settings: MediaSettings;
  readonly #tell: (event: MediaEvent) => void;
  readonly #findPlace: (session: RemoteMedia) => Promise<Place>;
  readonly #botAccess: BotAccess;
  #current: Place | undefined;
  #closed = false;
  #wasOpened = false;
  #isPaused: boolean;
  #botHasActed: boolean;
  #rtpPort = 0;
  #hasBot = false;
  #relays = false;

  constructor(
    settings: MediaSettings,
    tell: (event: MediaEvent) => void,
    findPlace: (session: RemoteMedia) => Promise<Place>,
    botAccess: BotAccess,
  ) {
    this.#botAccess = botAccess;
    this.#settings = settings;
    this.#tell = tell;
    this.#findPlace = findPlace;
    this.#isPaused = settings.recording?.paused ?? false;
    this.#botHasActed = settings.botHasActed ?? false;
  }

  get rtpPort(): number {
    return this.#rtpPort;
  }

  get hasBot(): boolean {
    return this.#hasBot;
  }

  get relays(): boolean {
    return this.#relays;
  }

  get botName(): string {
    return this.#settings.bot.name;
  }

  /** For `BotAccess`: the next try to connect the bot may begin. */
  admitted(): void {
    this.#order({ method: 'mayTry' });
  }

  /** Opens the media. Rejects with a {@link MediaError}. */
  async open(settings = this.#settings): Promise<void> {
    const { thread, id } = await this.#findPlace(this);
    try {
      if (this.#closed) throw new MediaError('worker-died', 'the call has ended');
      this.#current = { thread, id };
      this.#rtpPort = (await thread.ask(id, { method: 'open', settings })) as number;
    } catch (error) {
      thread.forget(id);
      throw error;
    }
    this.#wasOpened = true;
  }

  async reopen(): Promise<void> {
    // Nothing was heard or recorded yet, so the bot starts from the beginning.
    if (!this.#relays) return await this.open();
    const { recording } = this.#settings;
    // Use a new file. The old one is playable up to its last write.
    const path =
      recording && join(dirname(recording.path), recordingName(new Date(), randomBytes(8).toString('hex')));
    await this.open({
      ...this.#settings,
      startOnAnswer: false,
      isResumed: true,
      botHasActed: this.#botHasActed,
      recording: recording && { ...recording, path: path ?? '', paused: this.#isPaused },
    });
  }

  abandon(detail: string): void {
    const { thread, id } = this.#current ?? {};
    this.#current = undefined;
    if (thread === undefined || id === undefined) return;
    thread.forget(id);
    thread.ask(id, { method: 'close' }).catch(() => {});
    this.workerDied(detail);
  }

  /** For the thread: it has died. */
  workerDied(detail: string): void {
    this.#hasBot = false;
    this.#rtpPort = 0;
    this.#botAccess.left(this);
    // If this was the first `open`, its promise rejects instead.
    if (this.#wasOpened) this.#tell({ type: 'worker-died', detail });
  }

  async #ask(request: MediaRequest): Promise<unknown> {
    const current = this.#current;
    if (current === undefined) throw new MediaError('worker-died', 'no media is open');
    return await current.thread.ask(current.id, request);
  }

  #order(request: MediaRequest): void {
    this.#current?.thread.tell(this.#current.id, request);
  }

  /** An event from the worker. */
  happened(event: MediaEvent, hasBot: boolean): void {
    this.#hasBot = hasBot;
    if (event.type === 'bot-ask') {
      // One that is being closed would take the next try from the calls that wait for it.
      if (!this.#closed && this.#botAccess.ask(this, false)) this.admitted();
      return;
    }
    if (event.type === 'bot-failed') return this.#botAccess.failed(this, event.detail, event.isRefusal);
    if (event.type === 'lost') return this.abandon(event.detail);
    if (event.type === 'bot-open') this.#botAccess.succeeded(this);
    if (event.type === 'recording') this.#isPaused = event.isPaused;
    this.#botHasActed ||= ACTS.has(event.type);
    this.#tell(event);
  }

  async connectRtp(address: string, port: number): Promise<void> {
    await this.#ask({ method: 'connectRtp', address, port });
  }

  async connectSocket(url: string, authorization: string): Promise<void> {
    await this.#ask({ method: 'connectSocket', url, authorization });
  }

  async connectBot(): Promise<void> {
    await this.#ask({ method: 'connectBot', mayTry: this.#botAccess.ask(this, true) });
  }

  async botSettled(): Promise<void> {
    await this.#ask({ method: 'botSettled' });
  }

  startRelay(): void {
    this.#relays = true;
    this.#order({ method: 'startRelay' });
  }

  tellBot(message: BridgeMessage): void {
    this.#order({ method: 'tellBot', message });
  }

  dismissBot(message: BridgeMessage): void {
    this.#order({ method: 'dismissBot', message });
  }

  hangUp(): void {
    this.#order({ method: 'hangUp' });
  }

  async record(state: RecordingRequest): Promise<RecordingState | 'off'> {
    return (await this.#ask({ method: 'record', state })) as RecordingState | 'off';
  }

  async drain(): Promise<void> {
    await this.#ask({ method: 'drain' });
  }

  async playedOut(): Promise<void> {
    await this.#ask({ method: 'playedOut' });
  }

  expectAudio(isExpected: boolean): void {
    this.#order({ method: 'expectAudio', isExpected });
  }

  lineLives(): void {
    this.#order({ method: 'lineLives' });
  }

  async figures(): Promise<MediaFigures> {
    return (await this.#ask({ method: 'figures' })) as MediaFigures;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#botAccess.left(this);
    try {
      await this.#ask({ method: 'close' });
    } catch (error) {
      // A dead worker holds nothing any more.
      if ((error as MediaError).code !== 'worker-died') throw error;
    } finally {
      this.#hasBot = false;
      this.#current?.thread.forget(this.#current.id);
    }
  }
}
