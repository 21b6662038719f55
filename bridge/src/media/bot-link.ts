import { setTimeout as delay } from 'node:timers/promises';
import { NameLookups } from '../dns/name-lookups.ts';
import {
  BotConnectError,
  type BotConnection,
  type BotHandlers,
  type BotLimits,
  type BotNames,
  type BotTarget,
  connectBot,
} from '../pipecat/bot-connection.ts';
import type { Budget } from '../pipecat/budget.ts';
import { CLOSE_CODE } from '../pipecat/close-codes.ts';
import type { Draft } from '../pipecat/draft.ts';
import { printable } from '../text/outside-text.ts';
import { BackOff, type BackOffLimits } from './back-off.ts';

/** Address of a call's bot, and limits of connecting to it. */
export interface BotLinkSettings {
  readonly target: BotTarget;
  /** The URL as the operator wrote it, without query and credentials: calls with it share a bot. */
  readonly name: string;
  readonly limits: BotLimits;
  /** How long the bot is tried at the start of the call, ms, and at most how often. */
  readonly connectMs: number;
  readonly connectTries: number;
  /** How long the bridge tries to reconnect a lost bot, ms; 0: not at all. */
  readonly reconnectMs: number;
  /** How many times a bot may be reconnected in one call. */
  readonly reconnectsMax: number;
}

/** Notifications and questions to the owner of the link. */
export interface BotLinkHandlers {
  readonly onText: BotHandlers['onText'];
  readonly onBinary: BotHandlers['onBinary'];
  readonly onOversize: BotHandlers['onOversize'];
  readonly onOverBudget: (waitMs: number) => void;
  /** The bot broke the rules. The owner closes the link. */
  readonly onMisbehaved: (code: number, why: string) => void;
  /** A socket is open, the first of the call or a later one. Send `start` now. */
  readonly onOpen: (reconnected: boolean) => void;
  /** Whether the bot has ended its part of the call. Then any close of its socket is clean. */
  readonly isDone: () => boolean;
  /**
   * Resolves when the next try may begin, or when the signal fires. `isAsked`: control was asked
   * before.
   */
  readonly mayTry: (isAsked: boolean, signal: AbortSignal) => Promise<void>;
  /** A try has failed. `isRefusal`: the bot does not want this call. */
  readonly onFailed: (detail: string, isRefusal: boolean) => void;
  /** The bot was lost, and reconnecting has begun. */
  readonly onSeeking: (detail: string) => void;
  /** The bot is gone: it closed cleanly, or it was lost and could not be reconnected in time. */
  readonly onGone: (isClean: boolean, detail: string) => void;
}

/**
 * Limits of DNS look-ups for redirect targets, which others choose: look-ups at a time, and the
 * wait of a call.
 */
const OTHERS_NAMES = { atOnce: 2, waitMs: 5_000 };
// Shared by all calls of a thread. The operator configures few names of their own bots.
const names: BotNames = {
  own: new NameLookups({ atOnce: Number.POSITIVE_INFINITY, waitMs: 0 }).lookup,
  others: new NameLookups(OTHERS_NAMES).lookup,
};
/** Pauses between two tries. */
const PAUSES: BackOffLimits = { firstMs: 250, mostMs: 2_000 };
/** A bot that was connected for so long, or as long as it may be sought, is not lost "again". */
const STEADY_MS = 5_000;
/** Close codes of a bot that ended its part of the call. */
const CLEAN_CLOSES: readonly number[] = [CLOSE_CODE.normal, CLOSE_CODE.noCode];

/** Connects one call's bot, and reconnects it. */
export class BotLink {
  readonly #settings: BotLinkSettings;
  readonly #handlers: BotLinkHandlers;
  readonly #now: () => number;
  readonly #budget: Budget;
  readonly #abort = new AbortController();
  #connection: BotConnection | undefined;
  #closing = false;
  #reconnects = 0;
  /** End of the time in which a lost bot is reconnected. */
  #seekUntilMs = Number.NEGATIVE_INFINITY;
  #openedMs = Number.NEGATIVE_INFINITY;
  /** Pauses after losses that follow each other. */
  readonly #lossPauses = new BackOff(PAUSES, Math.random);
  /** Resolved unless a lost bot is being reconnected. */
  #settled = Promise.resolve();
  #dropped = 0;

  /** `budget`: of the call, for all its connections. `now`: monotonic clock, ms. */
  constructor(settings: BotLinkSettings, handlers: BotLinkHandlers, budget: Budget, now: () => number) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#budget = budget;
    this.#now = now;
  }

  /** Whether a socket is open. */
  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  /** Media messages dropped because the bot did not read. */
  get droppedMessages(): number {
    return this.#dropped + (this.#connection?.droppedMessages ?? 0);
  }

  /**
   * Connects, within the configured attempts and time. Rejects with a `BotConnectError`. Control
   * was asked for the first try.
   */
  async connect(): Promise<void> {
    await this.#seek(this.#settings.connectMs, this.#settings.connectTries, false, true);
  }

  /** Resolves when no lost bot is being reconnected. */
  settled(): Promise<void> {
    return this.#settled;
  }

  /** Sends a control message. No effect while no socket is open. */
  send(text: string): void {
    this.#connection?.send(text);
  }

  /**
   * Sends audio. Drops and counts it if the bot does not read. No effect while no socket is open.
   */
  sendMedia(message: Draft): void {
    this.#connection?.sendMedia(message);
  }

  /** Delivers no further message until `release`. */
  pauseReading(): void {
    this.#connection?.pauseReading();
  }

  /** Ends a `hold`. */
  release(): void {
    this.#connection?.release();
  }

  /**
   * Closes the connection and opens another one, as at the start of the call: the bot does nothing.
   * The new connection is no reconnection.
   */
  renew(detail: string): void {
    const connection = this.#connection;
    if (connection === undefined || this.#closing) return;
    this.#dropped += connection.droppedMessages;
    this.#connection = undefined;
    void connection.close(CLOSE_CODE.normal, detail);
    this.#handlers.onSeeking(detail);
    const { connectMs, connectTries } = this.#settings;
    this.#settled = this.#orGone(detail, () => this.#seek(connectMs, connectTries, false));
  }

  /** Stops all attempts and closes the socket. Idempotent. */
  async close(code: number = CLOSE_CODE.normal, why = ''): Promise<void> {
    this.#closing = true;
    this.#abort.abort();
    await this.#connection?.close(code, why);
  }

  async #seek(withinMs: number, tries: number, isAgain: boolean, isAsked = false): Promise<void> {
    const { target, limits } = this.#settings;
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(withinMs)]);
    const { onText, onBinary, onOversize, onOverBudget, onMisbehaved } = this.#handlers;
    let opened: BotConnection | undefined;
    const onOpen = (connection: BotConnection) => {
      opened = connection;
      this.#connection = connection;
      this.#openedMs = this.#now();
      if (isAgain) this.#reconnects += 1;
      // In this turn, because data sent with the bot's handshake is read in the next.
      this.#handlers.onOpen(isAgain);
    };
    const onClosed = (code: number, reason: string, isOurs: boolean) => {
      // Not that of a connection that was replaced.
      if (opened === this.#connection) this.#closed(code, reason, isOurs);
    };
    const handlers = { onOpen, onText, onBinary, onOversize, onOverBudget, onMisbehaved, onClosed };
    const pauses = new BackOff(PAUSES, Math.random);
    let last = new BotConnectError('not tried: the bot is down');
    for (let attempt = 1; ; attempt++) {
      await this.#handlers.mayTry(isAsked && attempt === 1, signal);
      if (signal.aborted) throw last;
      try {
        return await connectBot(target, limits, handlers, signal, this.#budget, names);
      } catch (error) {
        if (!(error instanceof BotConnectError) || this.#closing) throw error;
        this.#handlers.onFailed(error.message, error.isRefusal);
        if (signal.aborted || attempt >= tries) throw error;
        last = error;
        await delay(pauses.next(), undefined, { signal }).catch(() => {});
        if (signal.aborted) throw error;
      }
    }
  }

  #closed(code: number, reason: string, isOurs: boolean): void {
    this.#dropped += this.#connection?.droppedMessages ?? 0;
    this.#connection = undefined;
    if (this.#closing) return;
    const detail = `${isOurs ? 'we ' : ''}closed with ${code}${reason === '' ? '' : `: ${printable(reason)}`}`;
    if (CLEAN_CLOSES.includes(code) || this.#handlers.isDone()) return this.#handlers.onGone(true, detail);
    const { reconnectMs, reconnectsMax } = this.#settings;
    if (reconnectMs > 0 && this.#reconnects >= reconnectsMax)
      return this.#handlers.onGone(false, `${detail}, after ${this.#reconnects} reconnections`);
    const nowMs = this.#now();
    // A bot that is lost again soon after it was reconnected gets no more time than after its first
    // loss, and a pause before each attempt.
    const isSteady = nowMs - this.#openedMs >= Math.min(STEADY_MS, reconnectMs);
    const isAgain = this.#reconnects > 0 && !isSteady;
    if (!isAgain) {
      this.#seekUntilMs = nowMs + reconnectMs;
      this.#lossPauses.restart();
    }
    const withinMs = Math.ceil(this.#seekUntilMs - nowMs);
    const pauseMs = isAgain ? this.#lossPauses.next() : 0;
    if (withinMs <= pauseMs) return this.#handlers.onGone(false, detail);
    this.#handlers.onSeeking(detail);
    this.#settled = this.#orGone(detail, async () => {
      await delay(pauseMs, undefined, { signal: this.#abort.signal });
      await this.#seek(withinMs - pauseMs, Number.POSITIVE_INFINITY, true);
    });
  }

  /** Connects. If that fails, the bot is gone. Never rejects. */
  async #orGone(detail: string, connect: () => Promise<void>): Promise<void> {
    try {
      await connect();
    } catch (error) {
      if (!this.#closing) this.#handlers.onGone(false, `${detail}, then: ${(error as Error).message}`);
    }
  }
}
