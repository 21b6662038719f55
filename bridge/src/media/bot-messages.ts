import { hasSound } from '../audio/audible.ts';
import { BotAudio } from '../audio/bot-audio.ts';
import type { PlayoutQueue } from '../audio/playout-queue.ts';
import type { Budget } from '../pipecat/budget.ts';
import { CLOSE_CODE } from '../pipecat/close-codes.ts';
import type {
  BadCode,
  BotMessage,
  BridgeMessage,
  Dialect,
  RecordingRequest,
  WireEncoding,
  WireRate,
} from '../pipecat/dialect.ts';
import { Base64Slices, ByteSlices, type Slices } from '../pipecat/long-media.ts';
import { printable } from '../text/outside-text.ts';
import { BadMessages, ERROR_EVERY_MS } from './bad-messages.ts';
import { EndMarker } from './end-marker.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

/** What a bot's messages can cause in its call. */
export interface BotMessageHooks {
  /** Monotonic clock, ms. */
  readonly now: () => number;
  readonly tell: (event: MediaEvent) => void;
  readonly tellBot: (message: BridgeMessage) => void;
  /** Drops all queued audio. */
  readonly clear: () => void;
  /** Hangs up, and calls `hungUp`. */
  readonly hangUp: (immediate: boolean) => void;
  readonly record: (wanted: RecordingRequest) => void;
  /** The bot sent a long silence, then nothing: it has ended. */
  readonly ended: (detail: string) => void;
  /** Delivers no further message of the bot until `release`. */
  readonly pauseReading: () => void;
  readonly release: () => void;
  /** Closes the bot's socket with a WebSocket close code and a reason. */
  readonly closeBot: (code: number, why: string) => void;
}

/** Longer binary messages are handled slice by slice. */
const SLICE_BYTES = 196_608;

/** Handles one call's messages from its bot: decodes, refuses or executes them. */
export class BotMessages {
  readonly #settings: MediaSettings;
  readonly #dialect: Dialect;
  readonly #queue: PlayoutQueue;
  readonly #budget: Budget;
  readonly #hooks: BotMessageHooks;
  readonly #now: () => number;
  readonly #audio: BotAudio;
  readonly #badMessages: BadMessages;
  readonly #end: EndMarker;
  #hasSounded = false;
  #hasActed: boolean;
  #hasHungUp = false;
  #isMisbehaving = false;
  /** The long message that is being handled. */
  #slices: Slices | undefined;
  /** Bytes refused by the full queue that the bot was told of, and when. */
  #overflowBytes = 0;
  #overflowToldMs = Number.NEGATIVE_INFINITY;
  #pauseToldMs = Number.NEGATIVE_INFINITY;

  /** Audio goes to `queue`, which has the line's encoding. Messages are charged to `budget`. */
  constructor(
    settings: MediaSettings,
    dialect: Dialect,
    queue: PlayoutQueue,
    budget: Budget,
    hooks: BotMessageHooks,
  ) {
    this.#settings = settings;
    this.#hasActed = settings.botHasActed ?? false;
    this.#dialect = dialect;
    this.#queue = queue;
    this.#budget = budget;
    this.#hooks = hooks;
    this.#now = hooks.now;
    this.#audio = new BotAudio(queue, settings.line);
    this.#badMessages = new BadMessages(settings.maxBadMessages);
    const endDetail = `a long silence, then nothing for ${settings.endSilenceMs} ms: a bot's end`;
    this.#end = new EndMarker(settings.endSilenceMs, () => hooks.ended(endDetail));
  }

  /** Refused messages so far, by code. */
  get refused(): Record<string, number> {
    return this.#badMessages.counts;
  }

  /** Whether the bot has sent audio other than silence. */
  get hasSounded(): boolean {
    return this.#hasSounded;
  }

  /**
   * Whether the bot has done something for the caller, in this thread or before: audio, DTMF, a
   * transfer.
   */
  get hasActed(): boolean {
    return this.#hasActed || this.#hasSounded;
  }

  /** Whether the bot has ended: it hung up, or its last message was a long silence. */
  get hasEnded(): boolean {
    return this.#hasHungUp || this.#end.isSet;
  }

  /** The bot has hung up, by a message or otherwise. */
  hungUp(): void {
    this.#hasHungUp = true;
  }

  /** No more messages will come. Drops the rest of a long message. */
  close(): void {
    this.#end.unset();
    this.#slices = undefined;
  }

  /** A new connection is open: bad messages of the last one do not count for it. */
  connected(): void {
    this.#end.unset();
    this.#badMessages.understood();
    this.#slices = undefined;
    this.#audio.restart();
  }

  /** The queue was cleared, so the next audio begins with a whole sample. */
  cleared(): void {
    this.#audio.restart();
  }

  /** Handles the text message `bytes[start..end)`, UTF-8. */
  fromText(bytes: Buffer, start: number, end: number): void {
    const message = this.#dialect.decode(bytes, start, end);
    if (message.type === 'media')
      return this.#play(message.audio, message.length, message.encoding, message.sampleRate);
    if (message.type === 'long-media') {
      const { text, start, end, encoding, sampleRate } = message;
      return this.#take(new Base64Slices(text, start, end), encoding, sampleRate);
    }
    this.#budget.at(this.#now()).control();
    if (message.type === 'bad') return this.#refuse(message.code, message.detail);
    this.#badMessages.understood();
    this.#tellOverflow();
    if (message.type !== 'unknown') this.#end.unset();
    this.#carryOut(message);
  }

  #carryOut(message: Exclude<BotMessage, { type: 'media' | 'long-media' | 'bad' }>): void {
    switch (message.type) {
      case 'clear':
        return this.#hooks.clear();
      case 'resume':
        return this.#queue.resume();
      case 'mark':
        if (!this.#queue.mark(message.name)) this.#refuse('bad-field', 'too many marks wait');
        return;
      case 'hangup':
        return this.#hangUp(message.immediate);
      case 'dtmf':
      case 'recording':
      case 'transfer':
        if (this.#budget.at(this.#now()).order()) return this.#order(message);
        return this.#refuse('over-budget', 'more transfers, keys and recording requests than a bot may send');
      case 'unknown':
        return;
    }
  }

  /** Executes an order: it has an effect in Asterisk, on the disk or in the log. */
  #order(message: Extract<BotMessage, { type: 'dtmf' | 'recording' | 'transfer' }>): void {
    if (message.type === 'recording') return this.#hooks.record(message.state);
    this.#hasActed = true;
    if (message.type === 'dtmf') return this.#hooks.tell({ type: 'bot-dtmf', digits: message.digits });
    const { type: _type, ...request } = message;
    this.#hooks.tell({ type: 'bot-transfer', request });
  }

  /** The first hang-up is never refused, even over budget. */
  #hangUp(immediate: boolean): void {
    if (!this.#budget.at(this.#now()).order() && this.#hasHungUp) return;
    this.#hooks.hangUp(immediate);
  }

  /** Handles raw audio, if the call was configured for it. */
  fromBinary(data: Buffer): void {
    const { start } = this.#settings;
    if (start.framing !== 'binary')
      return this.#refuse('binary', 'this call takes JSON, not binary messages');
    const { encoding, sampleRate } = start;
    if (data.length > SLICE_BYTES) this.#take(new ByteSlices(data, SLICE_BYTES), encoding, sampleRate);
    else this.#play(data, data.length, encoding, sampleRate);
  }

  /** The bot is over its budget: its socket is not read for `waitMs`. */
  overBudget(waitMs: number): void {
    const now = this.#now();
    if (now - this.#pauseToldMs < ERROR_EVERY_MS) return;
    this.#pauseToldMs = now;
    const message = `more than a bot may send: not read for ${waitMs} ms`;
    this.#hooks.tellBot({ type: 'error', code: 'over-budget', message });
  }

  /** The bot broke the rules: its connection and the call end. Acts once. */
  misbehaved(code: number, why: string): void {
    if (this.#isMisbehaving) return;
    this.#isMisbehaving = true;
    this.#hooks.closeBot(code, why);
    this.#hooks.tell({ type: 'bot-misbehaved', detail: `we closed with ${code}: ${why}` });
  }

  /** A message over the size limit was skipped. */
  oversize(): void {
    this.#refuse('oversize', 'the message is over the limit');
  }

  /**
   * Handles a long message: one slice in each turn of the event loop, so that other calls of the
   * thread do not wait. No other message is delivered meanwhile.
   */
  #take(slices: Slices, encoding: WireEncoding, sampleRate: WireRate): void {
    this.#slices = slices;
    this.#hooks.pauseReading();
    this.#takeSlice(slices, encoding, sampleRate, false);
  }

  #takeSlice(slices: Slices, encoding: WireEncoding, sampleRate: WireRate, isContinued: boolean): void {
    // It was dropped by a new connection or by the end of the call.
    if (this.#slices !== slices) return;
    const audio = slices.next();
    if (audio === undefined) this.#refuse('bad-base64', 'media.payload is not base64');
    else this.#play(audio, audio.length, encoding, sampleRate, isContinued);
    if (!slices.isDone) return void setImmediate(() => this.#takeSlice(slices, encoding, sampleRate, true));
    this.#slices = undefined;
    this.#hooks.release();
  }

  #tellOverflow(): void {
    const { overflowBytes } = this.#queue.stats;
    if (overflowBytes === this.#overflowBytes) return;
    const now = this.#now();
    if (now - this.#overflowToldMs < ERROR_EVERY_MS) return;
    const ms = Math.round(((overflowBytes - this.#overflowBytes) / overflowBytes) * this.#queue.overflowMs);
    this.#overflowBytes = overflowBytes;
    this.#overflowToldMs = now;
    const message = `more audio waits than is kept: ${ms} ms were dropped`;
    this.#hooks.tellBot({ type: 'error', code: 'overflow', message, ms });
  }

  /** `isContinued`: the audio continues that of the same message. */
  #play(
    audio: Buffer,
    length: number,
    encoding: WireEncoding,
    sampleRate: WireRate,
    isContinued = false,
  ): void {
    this.#badMessages.understood();
    const queuedBytes = this.#audio.write(audio, length, encoding, sampleRate, this.#now());
    this.#tellOverflow();
    this.#end.media(audio, length, encoding, sampleRate, this.#queue.queuedMs, isContinued);
    if (queuedBytes === 0 || this.#hasSounded || !hasSound(audio, length, encoding)) return;
    this.#hasSounded = true;
    this.#hooks.tell({ type: 'first-bot-audio' });
  }

  #refuse(code: BadCode, what: string): void {
    // The detail may quote the bot.
    const detail = printable(what);
    // Tell the call for its log, too: not every dialect has an `error` event.
    if (!this.#badMessages.has(code)) this.#hooks.tell({ type: 'bot-refused', code, detail });
    const next = this.#badMessages.refused(code, this.#now());
    if (next === 'tell') this.#hooks.tellBot({ type: 'error', code, message: detail });
    if (next === 'too-many') this.misbehaved(CLOSE_CODE.policyViolation, 'too many bad messages in a row');
  }
}
