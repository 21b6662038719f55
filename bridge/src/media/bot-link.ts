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

/** Where a call's bot is, and how long and how often it is sought. */
export interface BotLinkSettings {
  readonly target: BotTarget;
  readonly limits: BotLimits;
  readonly connectMs: number;
  readonly connectTries: number;
  /** How long a bot that was lost in a call is sought; 0: not at all. */
  readonly reconnectMs: number;
  /** How often in a call a lost bot may be connected again. */
  readonly reconnectsMax: number;
}

/** What the owner of the link is told, and asked. */
export interface BotLinkHandlers {
  readonly onText: BotHandlers['onText'];
  readonly onBinary: BotHandlers['onBinary'];
  readonly onOversize: BotHandlers['onOversize'];
  readonly onOverBudget: (waitMs: number) => void;
  /** The bot does what none may; the owner closes the link. */
  readonly onMisbehaved: (code: number, why: string) => void;
  /** A socket is open, the first of the call or a later one: the time to say `start`. */
  readonly onOpen: (reconnected: boolean) => void;
  /** Whether the bot has said its end: then it is done, however its socket closes. */
  readonly isDone: () => boolean;
  /** The bot was lost and is being sought. */
  readonly onSeeking: (detail: string) => void;
  /** No bot any more: it closed cleanly, or it was lost and did not come back in time. */
  readonly onGone: (isClean: boolean, detail: string) => void;
}

/** Names that bots' servers send us on to are others' to choose: so many of them are looked up at a time, and their calls do not wait longer. */
const OTHERS_NAMES = { atOnce: 2, waitMs: 5_000 };
// All calls of a thread share these. Of its own bots' names the operator has written few.
const names: BotNames = {
  own: new NameLookups({ atOnce: Number.POSITIVE_INFINITY, waitMs: 0 }).lookup,
  others: new NameLookups(OTHERS_NAMES).lookup,
};
/** Pause between two tries to reach a bot. */
const RETRY_MS = 250;
/** Close codes of a bot that is done. */
const CLEAN_CLOSES: readonly number[] = [CLOSE_CODE.normal, CLOSE_CODE.noCode];

/** The way to one call's bot: its connection, and its reconnection. */
export class BotLink {
  readonly #settings: BotLinkSettings;
  readonly #handlers: BotLinkHandlers;
  readonly #now: () => number;
  readonly #budget: Budget;
  readonly #abort = new AbortController();
  #connection: BotConnection | undefined;
  #closing = false;
  #reconnects = 0;
  /** Until when a lost bot is sought. */
  #seekUntilMs = Number.NEGATIVE_INFINITY;
  /** Settled while no lost bot is being sought. */
  #settled = Promise.resolve();
  #dropped = 0;

  /** `budget`: of the call, whatever its connections. `now`: monotonic clock, ms. */
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

  /** Connects, within the tries and the time allowed. Rejects with a `BotConnectError`. */
  async connect(): Promise<void> {
    await this.#seek(this.#settings.connectMs, this.#settings.connectTries, false);
  }

  /** Resolves when no lost bot is being sought: at once, save in an outage. */
  settled(): Promise<void> {
    return this.#settled;
  }

  /** Sends a control message; without effect while no socket is open. */
  send(text: string): void {
    this.#connection?.send(text);
  }

  /** Sends audio; dropped and counted where the bot does not read, without effect while no socket is open. */
  sendMedia(message: Draft): void {
    this.#connection?.sendMedia(message);
  }

  /** The bot's next message is kept back until `release`. */
  hold(): void {
    this.#connection?.hold();
  }

  /** Goes on where `hold` stopped. */
  release(): void {
    this.#connection?.release();
  }

  /** Gives up every try, and closes the socket. Idempotent. */
  async close(code: number = CLOSE_CODE.normal, why = ''): Promise<void> {
    this.#closing = true;
    this.#abort.abort();
    await this.#connection?.close(code, why);
  }

  async #seek(withinMs: number, tries: number, isAgain: boolean): Promise<void> {
    const { target, limits } = this.#settings;
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(withinMs)]);
    const { onText, onBinary, onOversize, onOverBudget, onMisbehaved } = this.#handlers;
    const onOpen = (connection: BotConnection) => {
      this.#connection = connection;
      if (isAgain) this.#reconnects += 1;
      // In this turn: what the bot has sent with its handshake is read in the next.
      this.#handlers.onOpen(isAgain);
    };
    const onClosed = (code: number, reason: string, isOurs: boolean) => this.#closed(code, reason, isOurs);
    const handlers = { onOpen, onText, onBinary, onOversize, onOverBudget, onMisbehaved, onClosed };
    for (let attempt = 1; ; attempt++) {
      try {
        return await connectBot(target, limits, handlers, signal, this.#budget, names);
      } catch (error) {
        if (!(error instanceof BotConnectError) || signal.aborted || attempt >= tries) throw error;
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
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
    // A bot that comes back only to fail again gets no time beyond that of its first loss, and no try without a pause.
    const isAgain = nowMs <= this.#seekUntilMs + reconnectMs;
    if (!isAgain) this.#seekUntilMs = nowMs + reconnectMs;
    const withinMs = Math.ceil(this.#seekUntilMs - nowMs);
    const pauseMs = isAgain ? RETRY_MS : 0;
    if (withinMs <= pauseMs) return this.#handlers.onGone(false, detail);
    this.#handlers.onSeeking(detail);
    this.#settled = this.#reconnect(detail, withinMs - pauseMs, pauseMs);
  }

  /** Never rejects. */
  async #reconnect(detail: string, withinMs: number, pauseMs: number): Promise<void> {
    try {
      await delay(pauseMs, undefined, { signal: this.#abort.signal });
      await this.#seek(withinMs, Number.POSITIVE_INFINITY, true);
    } catch (error) {
      if (!this.#closing) this.#handlers.onGone(false, `${detail}, then: ${(error as Error).message}`);
    }
  }
}
