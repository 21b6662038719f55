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
  WireEncoding,
  WireRate,
} from '../pipecat/dialect.ts';
import { Base64Slices, ByteSlices, type Slices } from '../pipecat/long-media.ts';
import { printable } from '../text/outside-text.ts';
import { BadMessages, ERROR_EVERY_MS } from './bad-messages.ts';
import { EndMarker } from './end-marker.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

/** What a bot's messages can do to its call. */
export interface BotMessageHooks {
  /** Monotonic clock, in ms. */
  readonly now: () => number;
  readonly tell: (event: MediaEvent) => void;
  readonly tellBot: (message: BridgeMessage) => void;
  /** Drops all that waits to be played. */
  readonly clear: () => void;
  /** Has `hungUp` be called. */
  readonly hangUp: (immediate: boolean) => void;
  readonly record: (wanted: 'pause' | 'resume') => void;
  /** The bot has said its end and then nothing. */
  readonly ended: (detail: string) => void;
  /** The bot's next message waits until `release`. */
  readonly hold: () => void;
  readonly release: () => void;
  /** Closes the bot's socket with a WebSocket close code and a reason. */
  readonly closeBot: (code: number, why: string) => void;
}

/** Binary messages of more bytes are taken slice by slice. */
const SLICE_BYTES = 196_608;

/** One call's messages from its bot: decoded, refused where they cannot be understood, and carried out. */
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
  /** The long message that is being taken. */
  #slices: Slices | undefined;
  /** Of what the full queue refused, how much the bot was told of, and when. */
  #overflowBytes = 0;
  #overflowToldMs = Number.NEGATIVE_INFINITY;
  #pauseToldMs = Number.NEGATIVE_INFINITY;

  /** Audio goes into `queue`, which holds the line's encoding; what the bot asks for is charged to `budget`. */
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

  /** Messages that were refused so far, by what was wrong. */
  get refused(): Record<string, number> {
    return this.#badMessages.counts;
  }

  /** Whether the bot has sent a sound, not silence only. */
  get hasSounded(): boolean {
    return this.#hasSounded;
  }

  /** Whether the bot has done anything for the caller, in this thread or before: sounds, keys, a transfer. */
  get hasActed(): boolean {
    return this.#hasActed || this.#hasSounded;
  }

  /** Whether the bot has said its end: it has hung up, or the last that it said was a long silence. */
  get hasEnded(): boolean {
    return this.#hasHungUp || this.#end.isSet;
  }

  /** The bot has hung up, by a message or by other means. */
  hungUp(): void {
    this.#hasHungUp = true;
  }

  /** Nothing comes from the bot any more; of a long message nothing more is taken. */
  close(): void {
    this.#end.unset();
    this.#slices = undefined;
  }

  /** What comes next is from another connection: bad messages of the former one do not count against it. */
  connected(): void {
    this.#end.unset();
    this.#badMessages.understood();
    this.#slices = undefined;
    this.#audio.restart();
  }

  /** What comes next begins with a whole sample: the queue was cleared. */
  cleared(): void {
    this.#audio.restart();
  }

  /** The text message `bytes[start..end)`, UTF-8. */
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

  /** What reaches Asterisk, the disk or the log. */
  #order(message: Extract<BotMessage, { type: 'dtmf' | 'recording' | 'transfer' }>): void {
    if (message.type === 'recording') return this.#hooks.record(message.state);
    this.#hasActed = true;
    if (message.type === 'dtmf') return this.#hooks.tell({ type: 'bot-dtmf', digits: message.digits });
    const { type: _type, ...request } = message;
    this.#hooks.tell({ type: 'bot-transfer', request });
  }

  /** The first is never refused, whatever the bot has asked for before. */
  #hangUp(immediate: boolean): void {
    if (!this.#budget.at(this.#now()).order() && this.#hasHungUp) return;
    this.#hooks.hangUp(immediate);
  }

  /** Raw audio, where that is what the call agreed on. */
  fromBinary(data: Buffer): void {
    const { start } = this.#settings;
    if (start.framing !== 'binary')
      return this.#refuse('binary', 'this call takes JSON, not binary messages');
    const { encoding, sampleRate } = start;
    if (data.length > SLICE_BYTES) this.#take(new ByteSlices(data, SLICE_BYTES), encoding, sampleRate);
    else this.#play(data, data.length, encoding, sampleRate);
  }

  /** The bot has sent more than it may, and is read again in so many ms. */
  overBudget(waitMs: number): void {
    const now = this.#now();
    if (now - this.#pauseToldMs < ERROR_EVERY_MS) return;
    this.#pauseToldMs = now;
    const message = `more than a bot may send: not read for ${waitMs} ms`;
    this.#hooks.tellBot({ type: 'error', code: 'over-budget', message });
  }

  /** The bot does what none may: its connection ends, and with it the call. Once. */
  misbehaved(code: number, why: string): void {
    if (this.#isMisbehaving) return;
    this.#isMisbehaving = true;
    this.#hooks.closeBot(code, why);
    this.#hooks.tell({ type: 'bot-misbehaved', detail: `we closed with ${code}: ${why}` });
  }

  /** A message over the limit was passed over. */
  oversize(): void {
    this.#refuse('oversize', 'the message is over the limit');
  }

  /** A long message must not hold up the other calls of the thread: a slice in each turn of the event loop, and meanwhile no other message. */
  #take(slices: Slices, encoding: WireEncoding, sampleRate: WireRate): void {
    this.#slices = slices;
    this.#hooks.hold();
    this.#takeSlice(slices, encoding, sampleRate, false);
  }

  #takeSlice(slices: Slices, encoding: WireEncoding, sampleRate: WireRate, isContinued: boolean): void {
    // A later connection, or the end of the call, has dropped it.
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

  /** `isContinued`: the audio goes on with that before, as a part of the same message. */
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
    // It may quote the bot.
    const detail = printable(what);
    // Not every dialect has a word for it: the log has.
    if (!this.#badMessages.has(code)) this.#hooks.tell({ type: 'bot-refused', code, detail });
    const next = this.#badMessages.refused(code, this.#now());
    if (next === 'tell') this.#hooks.tellBot({ type: 'error', code, message: detail });
    if (next === 'too-many') this.misbehaved(CLOSE_CODE.policyViolation, 'too many bad messages in a row');
  }
}
