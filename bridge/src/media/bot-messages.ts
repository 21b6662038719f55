import { BotAudio } from '../audio/bot-audio.ts';
import type { PlayoutQueue } from '../audio/playout-queue.ts';
import type { BadCode, BotMessage, BridgeMessage, Dialect } from '../pipecat/dialect.ts';
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
  #botHeard = false;

  /** Audio goes into `queue`, which holds the line's encoding. */
  constructor(settings: MediaSettings, dialect: Dialect, queue: PlayoutQueue, hooks: BotMessageHooks) {
    this.#settings = settings;
    this.#dialect = dialect;
    this.#queue = queue;
    this.#hooks = hooks;
    this.#audio = new BotAudio(queue, settings.line.encoding);
    this.#refusals = new Refusals(settings.maxBadMessages);
  }

  /** Messages that were refused so far, by what was wrong. */
  get refused(): Record<string, number> {
    return this.#refusals.counts;
  }

  /** What comes next is from another connection: bad messages of the former one do not count against it. */
  connected(): void {
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
    if (message.type === 'media') return this.#fromMedia(message);
    this.#refusals.understood();
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
        return this.#hooks.tell({ type: 'bot-dtmf', digits: message.digits });
      case 'recording':
        return this.#hooks.record(message.state);
      case 'transfer': {
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
    this.#queued(this.#audio.write(data, data.length, start.encoding, this.#hooks.now()));
  }

  /** A message over the limit was passed over. */
  oversize(): void {
    this.#refuse('oversize', 'the message is over the limit');
  }

  #fromMedia({ audio, length, encoding, sampleRate }: Extract<BotMessage, { type: 'media' }>): void {
    const { line } = this.#settings;
    if (sampleRate !== line.sampleRate)
      return this.#refuse('wrong-encoding', `this call takes ${line.sampleRate} Hz, not ${sampleRate}`);
    this.#queued(this.#audio.write(audio, length, encoding, this.#hooks.now()));
  }

  #queued(bytes: number): void {
    this.#refusals.understood();
    if (bytes === 0 || this.#botHeard) return;
    this.#botHeard = true;
    this.#hooks.tell({ type: 'first-bot-audio' });
  }

  #refuse(code: BadCode, detail: string): void {
    const what = this.#refusals.refused(code, this.#hooks.now());
    if (what === 'tell') this.#hooks.tellBot({ type: 'error', code, message: detail });
    if (what !== 'too-many') return;
    this.#hooks.closeBot(1008);
    this.#hooks.tell({ type: 'bot-misbehaved' });
  }
}
