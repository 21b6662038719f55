import { hasSound } from '../audio/audible.ts';
import { BotAudio } from '../audio/bot-audio.ts';
import type { PlayoutQueue } from '../audio/playout-queue.ts';
import type { BadCode, BridgeMessage, Dialect, WireEncoding, WireRate } from '../pipecat/dialect.ts';
import { EndMarker } from './end-marker.ts';
import { Refusals } from './refusals.ts';
import type { MediaEvent, MediaSettings } from './session.ts';

/** What a bot's messages can do to its call. */
export interface BotMessageHooks {
  /** Monotonic clock, in ms. */
  readonly now: () => number;
  readonly tell: (event: MediaEvent) => void;
  readonly tellBot: (message: BridgeMessage) => void;
  /** Drops all that waits to be played. */
  readonly clear: () => void;
  readonly hangUp: (immediate: boolean) => void;
  readonly record: (wanted: 'pause' | 'resume') => void;
  /** The bot has said its end and then nothing. */
  readonly ended: (detail: string) => void;
  /** Closes the bot's socket with a WebSocket close code. */
  readonly closeBot: (code: number) => void;
}

/** One call's messages from its bot: decoded, refused where they cannot be understood, and carried out. */
export class BotMessages {
  readonly #settings: MediaSettings;
  readonly #dialect: Dialect;
  readonly #queue: PlayoutQueue;
  readonly #hooks: BotMessageHooks;
  readonly #audio: BotAudio;
  readonly #refusals: Refusals;
  readonly #end: EndMarker;
  #hasSounded = false;
  #hasActed = false;

  /** Audio goes into `queue`, which holds the line's encoding. */
  constructor(settings: MediaSettings, dialect: Dialect, queue: PlayoutQueue, hooks: BotMessageHooks) {
    this.#settings = settings;
    this.#dialect = dialect;
    this.#queue = queue;
    this.#hooks = hooks;
    this.#audio = new BotAudio(queue, settings.line);
    this.#refusals = new Refusals(settings.maxBadMessages);
    const endDetail = `a long silence, then nothing for ${settings.endSilenceMs} ms: a bot's end`;
    this.#end = new EndMarker(settings.endSilenceMs, () => hooks.ended(endDetail));
  }

  /** Messages that were refused so far, by what was wrong. */
  get refused(): Record<string, number> {
    return this.#refusals.counts;
  }

  /** Whether the bot has sent a sound, not silence only. */
  get hasSounded(): boolean {
    return this.#hasSounded;
  }

  /** Whether the bot has done anything for the caller: sounds, keys, a transfer. */
  get hasActed(): boolean {
    return this.#hasActed || this.#hasSounded;
  }

  /** Whether the last that the bot said was its end: a long silence. */
  get hasEnded(): boolean {
    return this.#end.isSet;
  }

  /** Nothing comes from the bot any more. */
  close(): void {
    this.#end.unset();
  }

  /** What comes next is from another connection: bad messages of the former one do not count against it. */
  connected(): void {
    this.#end.unset();
    this.#refusals.understood();
    this.#audio.restart();
  }

  /** What comes next begins with a whole sample: the queue was cleared. */
  cleared(): void {
    this.#audio.restart();
  }

  /** The text message `bytes[start..end)`, UTF-8. */
  fromText(bytes: Buffer, start: number, end: number): void {
    const message = this.#dialect.decode(bytes, start, end);
    if (message.type === 'bad') return this.#refuse(message.code, message.detail);
    if (message.type === 'media')
      return this.#play(message.audio, message.length, message.encoding, message.sampleRate);
    this.#refusals.understood();
    if (message.type !== 'unknown') this.#end.unset();
    switch (message.type) {
      case 'clear':
        return this.#hooks.clear();
      case 'resume':
        return this.#queue.resume();
      case 'mark':
        if (!this.#queue.mark(message.name)) this.#refuse('bad-field', 'too many marks wait');
        return;
      case 'hangup':
        return this.#hooks.hangUp(message.immediate);
      case 'dtmf':
        this.#hasActed = true;
        return this.#hooks.tell({ type: 'bot-dtmf', digits: message.digits });
      case 'recording':
        return this.#hooks.record(message.state);
      case 'transfer': {
        this.#hasActed = true;
        const { type: _type, ...request } = message;
        return this.#hooks.tell({ type: 'bot-transfer', request });
      }
      case 'unknown':
        return;
    }
  }

  /** Raw audio, where that is what the call agreed on. */
  fromBinary(data: Buffer): void {
    const { start } = this.#settings;
    if (start.framing !== 'binary')
      return this.#refuse('binary', 'this call takes JSON, not binary messages');
    const { encoding, sampleRate } = start;
    this.#play(data, data.length, encoding, sampleRate);
  }

  /** A message over the limit was passed over. */
  oversize(): void {
    this.#refuse('oversize', 'the message is over the limit');
  }

  #play(audio: Buffer, length: number, encoding: WireEncoding, sampleRate: WireRate): void {
    this.#refusals.understood();
    const queuedBytes = this.#audio.write(audio, length, encoding, sampleRate, this.#hooks.now());
    this.#end.media(audio, length, encoding, sampleRate, this.#queue.queuedMs);
    if (queuedBytes === 0 || this.#hasSounded || !hasSound(audio, length, encoding)) return;
    this.#hasSounded = true;
    this.#hooks.tell({ type: 'first-bot-audio' });
  }

  #refuse(code: BadCode, detail: string): void {
    // Not every dialect has a word for it: the log has.
    if (!this.#refusals.has(code)) this.#hooks.tell({ type: 'bot-refused', code, detail });
    const what = this.#refusals.refused(code, this.#hooks.now());
    if (what === 'tell') this.#hooks.tellBot({ type: 'error', code, message: detail });
    if (what !== 'too-many') return;
    this.#hooks.closeBot(1008);
    this.#hooks.tell({ type: 'bot-misbehaved' });
  }
}
