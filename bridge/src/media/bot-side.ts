import { randomUUID } from 'node:crypto';
import { doneWithin } from '../async/time-limit.ts';
import type { PlayoutQueue } from '../audio/playout-queue.ts';
import { Budget } from '../pipecat/budget.ts';
import type { BridgeMessage, Dialect, RecordingRequest } from '../pipecat/dialect.ts';
import { createDialect } from '../pipecat/dialects.ts';
import type { RecordingState } from '../recording/recorder.ts';
import { BotLink } from './bot-link.ts';
import { BotMessages } from './bot-messages.ts';
import { Comfort } from './comfort.ts';
import { FirstAudio, type FirstAudioHooks } from './first-audio.ts';
import type { BotGone, MediaEvent, MediaFigures, MediaSettings } from './session.ts';
import { TryPermit } from './try-permit.ts';

/** What the bot's side of a call knows of the relay, and causes in it. */
export interface BotSideHooks {
  /** Monotonic clock, ms. */
  readonly now: () => number;
  readonly tell: (event: MediaEvent) => void;
  /** Whether audio is relayed. */
  readonly isRelaying: () => boolean;
  /** The last state of the recording that was reported, for a bot that reconnects. */
  readonly recording: () => RecordingState | undefined;
  /** Drops all queued audio. */
  readonly clear: () => void;
  readonly record: (wanted: RecordingRequest) => void;
}

/**
 * The bot's side of a call's relay: its connection, the messages of both directions, and the tone
 * that the caller hears while no bot is connected. The relay itself sends the caller's audio, by
 * `link` and `dialect`.
 */
export class BotSide {
  readonly link: BotLink;
  readonly dialect: Dialect;
  readonly permit: TryPermit;
  readonly #settings: MediaSettings;
  readonly #queue: PlayoutQueue;
  readonly #hooks: BotSideHooks;
  readonly #messages: BotMessages;
  readonly #budget: Budget;
  readonly #comfort: Comfort;
  readonly #firstAudio: FirstAudio;
  #refusable: (() => void) | undefined;
  /** The connected bot was sent `start`. */
  #started = false;
  #connectionId = '';
  #closed = false;

  /** The bot's audio goes to `queue`, which has the line's encoding. */
  constructor(settings: MediaSettings, queue: PlayoutQueue, hooks: BotSideHooks) {
    this.#settings = settings;
    this.#queue = queue;
    this.#hooks = hooks;
    const { now, tell } = hooks;
    this.dialect = createDialect(settings.dialect, settings.start);
    this.#comfort = new Comfort(settings, queue, hooks.isRelaying, now);
    this.#budget = new Budget(settings.budget);
    this.#messages = new BotMessages(settings, this.dialect, queue, this.#budget, {
      now,
      tell,
      tellBot: (message) => this.tell(message),
      clear: hooks.clear,
      hangUp: (immediate) => this.hangUp(immediate),
      record: hooks.record,
      ended: (detail) => this.#gone('silent', detail),
      pauseReading: () => this.link.pauseReading(),
      release: () => this.link.release(),
      closeBot: (code, why) => void this.link.close(code, why),
    });
    const firstAudioHooks: FirstAudioHooks = {
      isPresent: () => this.#messages.hasActed || this.#messages.hasEnded,
      silent: (detail, isOwed) => tell({ type: 'bot-silent', detail, isOwed }),
      renew: (detail) => this.link.renew(detail),
      failed: (detail) => this.#gone('silent', detail),
    };
    this.#firstAudio = new FirstAudio(settings.firstAudioMs, settings.speaksFirst, firstAudioHooks, now);
    this.permit = new TryPermit(() => tell({ type: 'bot-ask' }));
    this.link = new BotLink(
      settings.bot,
      {
        onText: (bytes, start, end) => this.#messages.fromText(bytes, start, end),
        onBinary: (data) => this.#messages.fromBinary(data),
        onOversize: () => this.#messages.oversize(),
        onOverBudget: (waitMs) => this.#messages.overBudget(waitMs),
        onMisbehaved: (code, why) => this.#messages.misbehaved(code, why),
        onOpen: (reconnected) => this.#opened(reconnected),
        onSeeking: (detail) => this.#lost(detail),
        mayTry: (isAsked, signal) => this.permit.wait(isAsked, signal),
        onFailed: (detail, isRefusal) => tell({ type: 'bot-failed', detail, isRefusal }),
        isDone: () => this.#messages.hasEnded,
        onGone: (isClean, detail) => this.#gone(isClean ? 'closed' : 'lost', detail),
      },
      this.#budget,
      now,
    );
  }

  /** The bot's part of the call's figures. */
  get figures(): Pick<MediaFigures, 'droppedMessages' | 'botPauses' | 'botPausedMs' | 'refusedMessages'> {
    const { pauses, pausedMs } = this.#budget.stats;
    return {
      droppedMessages: this.link.droppedMessages,
      botPauses: pauses,
      botPausedMs: pausedMs,
      refusedMessages: this.#messages.refused,
    };
  }

  /**
   * Connects the bot within its limits and sends `start`. Resolves when the bot has had `refusalMs`
   * to refuse the call. Rejects with a `BotConnectError`.
   */
  async connect(): Promise<void> {
    await this.link.connect();
    if (this.#settings.startOnAnswer || this.#closed) return;
    const { promise, done } = doneWithin(this.#settings.refusalMs);
    this.#refusable = done;
    await promise;
  }

  /** Sends a message if the dialect has it. No effect before `start` or without a connection. */
  tell(message: BridgeMessage): void {
    const text = this.link.isOpen && this.#started ? this.dialect.encode(message) : undefined;
    if (text !== undefined) this.link.send(text);
  }

  /** The relay begins: tells the bot. Without a bot the caller hears the tone. */
  begin(): void {
    if (this.#settings.startOnAnswer) this.#sayStart(false);
    if (!this.link.isOpen) this.#comfort.start();
    this.tell({ type: 'answered' });
  }

  /** The bot hangs up: after the audio queued now, or without it if `immediate`. */
  hangUp(immediate = false): void {
    this.#messages.hungUp();
    this.#hooks.tell({ type: 'bot-hangup', immediate, queuedMs: this.#unheardMs });
  }

  /** The queue was cleared. */
  cleared(): void {
    this.#messages.cleared();
  }

  /** Closes the connection. Ends all waits. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#firstAudio.stop();
    this.#comfort.stop();
    this.#messages.close();
    this.#refusable?.();
    await this.link.close();
  }

  /** Queued audio of the bot; 0 while it has sent only silence. */
  get #unheardMs(): number {
    return this.#messages.hasSounded ? this.#queue.queuedMs : 0;
  }

  #opened(reconnected: boolean): void {
    const isRelaying = this.#hooks.isRelaying();
    this.#started = false;
    this.#connectionId = randomUUID();
    this.#comfort.stop();
    this.#messages.connected();
    // Before `start`: a bot may hang up by REST as soon as it has that.
    this.#hooks.tell({ type: 'bot-open', reconnected, connectionId: this.#connectionId });
    if (isRelaying || !this.#settings.startOnAnswer) this.#sayStart(reconnected);
    if (isRelaying) this.tell({ type: 'answered' });
    const state = this.#hooks.recording();
    if (isRelaying && state !== undefined) this.tell({ type: 'recording', state });
  }

  #sayStart(reconnected: boolean): void {
    this.#started = true;
    const { start, isResumed = false } = this.#settings;
    const texts = this.dialect.start(start, reconnected || isResumed, this.#connectionId);
    for (const text of texts) this.link.send(text);
    this.#firstAudio.started();
  }

  /** A bot that leaves before the caller heard anything of it counts as absent. */
  #gone(how: Exclude<BotGone, 'absent'>, detail: string): void {
    this.#firstAudio.stop();
    this.#comfort.stop();
    this.#messages.close();
    const isAbsent = how !== 'lost' && !this.#messages.hasActed;
    const { tell } = this.#hooks;
    tell({ type: 'bot-gone', how: isAbsent ? 'absent' : how, detail, queuedMs: this.#unheardMs });
  }

  /** The bot was lost: the caller hears a tone while it is reconnected. */
  #lost(detail: string): void {
    this.#firstAudio.stop();
    this.#hooks.tell({ type: 'bot-seeking', detail });
    this.#comfort.start();
  }
}
