import { audibleIn } from '../src/audio/audible.ts';
import { BotAudio } from '../src/audio/bot-audio.ts';
import { type AudioFormat, bytesPerMs, bytesPerSample, silenceByte } from '../src/audio/format.ts';
import { Pacer, type PacerHandle } from '../src/audio/pacer.ts';
import { PlayoutQueue } from '../src/audio/playout-queue.ts';
import type { PlayoutStats } from '../src/audio/playout-stats.ts';
import { BadMessages } from '../src/media/bad-messages.ts';
import { type BotConnection, type BotTarget, connectBot } from '../src/pipecat/bot-connection.ts';
import { CLOSE_CODE } from '../src/pipecat/close-codes.ts';
import type {
  BadCode,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectName,
  StartFields,
} from '../src/pipecat/dialect.ts';
import { createDialect } from '../src/pipecat/dialects.ts';
import { Draft } from '../src/pipecat/draft.ts';
import { Base64Slices } from '../src/pipecat/long-media.ts';
import { FRAME_MS } from '../src/units/audio.ts';
import type { MediaNote } from './tally.ts';

/** A bridge's own limits, as they are unless its configuration says otherwise. */
const LIMITS = { maxMessageBytes: 4_194_304, sendBufferBytes: 65_536, pingMs: 600_000, hungMs: 0 };
const MAX_BAD_MESSAGES = 50;
const QUEUE_MS = 120_000;
const TRAILING_SILENCE_MS = 200;

/** Whom to call, and as what. */
export interface Line {
  readonly target: BotTarget;
  readonly dialect: DialectName;
  readonly start: StartFields;
}

/** Why a call is over before it was meant to be. */
export interface Ending {
  /**
   * `goodbye`: the bot hung up. `lost`: its socket closed with a code other than 1000. `refused`: a
   * bridge would end the call.
   */
  readonly kind: 'goodbye' | 'lost' | 'refused';
  readonly detail: string;
}

/** What a step waits for will not come: the call is over. */
export class CallOver extends Error {
  override name = 'CallOver';
}

/** A bot's message that could not be understood. */
export interface BadMessage {
  readonly code: BadCode;
  readonly detail: string;
}

/**
 * A caller with the bridge's side of a bot's WebSocket. The caller's audio is sent every 20 ms. The
 * bot's audio is read, queued and played by the bridge's own code. Times are by
 * `performance.now()`.
 */
export class Caller {
  readonly #line: Line;
  readonly #dialect: Dialect;
  readonly #connection: BotConnection;
  readonly #format: AudioFormat;
  readonly #frame: Buffer;
  readonly #queue: PlayoutQueue;
  readonly #botAudio: BotAudio;
  readonly #draft = new Draft();
  readonly #refusals = new BadMessages(MAX_BAD_MESSAGES);
  readonly #isAudible: (source: Buffer, start: number, end: number) => boolean;
  #pacing: PacerHandle | undefined;
  #sentFrames = 0;
  #speech: Buffer = Buffer.alloc(0);
  #spokenBytes = 0;
  #look: () => void = () => {};
  #pongMs = Number.NEGATIVE_INFINITY;
  #isClosing = false;
  /** When the call was answered: audio flows from then on. */
  readonly answeredMs: number;
  /** When the bot was first and last heard. */
  firstHeardMs = Number.POSITIVE_INFINITY;
  lastHeardMs = Number.NEGATIVE_INFINITY;
  ending: Ending | undefined;
  isClosed = false;
  readonly media: MediaNote[] = [];
  /**
   * Media messages whose audio is not of whole samples. The bridge plays them, but another receiver
   * may refuse them.
   */
  splitSamples = 0;
  /** Encodings that the bot's media had. */
  readonly encodings = new Set<string>();
  readonly clears: { readonly atMs: number; readonly cutMs: number }[] = [];
  readonly marks = { asked: 0, answered: 0 };
  /** What else the bot asked for, and its events that are not known, by how often. */
  readonly asked = new Map<string, number>();
  /** One of every kind, the first. */
  readonly bad: BadMessage[] = [];

  private constructor(line: Line, connection: BotConnection) {
    this.#line = line;
    this.#connection = connection;
    const { encoding, sampleRate } = line.start;
    this.#format = { encoding, sampleRate } as AudioFormat;
    this.#frame = Buffer.alloc(FRAME_MS * bytesPerMs(this.#format));
    this.#dialect = createDialect(line.dialect, line.start);
    this.#isAudible = audibleIn(encoding);
    this.#queue = new PlayoutQueue({
      bytesPerFrame: this.#frame.length,
      frameMs: FRAME_MS,
      silence: silenceByte(encoding),
      encoding,
      prebufferMs: 'adaptive',
      trailingSilenceMs: TRAILING_SILENCE_MS,
      maxMs: QUEUE_MS,
      onMark: (name, cleared) => {
        this.marks.answered += 1;
        this.tell({ type: 'mark', name, cleared });
      },
      onDrained: () => {},
    });
    this.#botAudio = new BotAudio(this.#queue, this.#format);
    for (const text of this.#dialect.start(line.start, false)) connection.send(text);
    this.tell({ type: 'answered' });
    this.answeredMs = performance.now();
    this.#pacing = new Pacer({ onError: fail }).add((skipped) => this.#tick(skipped));
  }

  /**
   * Calls, until `signal` fires; the call is answered at once. Rejects with a `BotConnectError`.
   */
  static async call(line: Line, signal: AbortSignal): Promise<Caller> {
    // Set by `onOpen`, which comes before all else.
    let caller!: Caller;
    await connectBot(
      line.target,
      LIMITS,
      {
        onOpen: (connection) => {
          caller = new Caller(line, connection);
        },
        onText: (bytes, start, end) => caller.#fromText(bytes, start, end),
        onBinary: (data) => caller.#fromBinary(data),
        onOversize: () => caller.#refuse('oversize', 'the message is over 4 MB'),
        onPong: () => caller.#pong(),
        onClosed: (code, reason) => caller.#closed(code, reason),
      },
      signal,
    );
    return caller;
  }

  /**
   * Resolves with true as soon as `condition` holds, with false after `limitMs`. Rejects with
   * {@link CallOver}.
   */
  until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = performance.now() + limitMs;
    return new Promise((resolve, reject) => {
      this.#look = () => {
        if (condition()) resolve(true);
        else if (this.ending !== undefined) reject(new CallOver());
        else if (performance.now() >= endMs) resolve(false);
        else return;
        this.#look = () => {};
      };
      this.#look();
    });
  }

  /** The call goes on for so long. Rejects with {@link CallOver}. */
  async wait(ms: number): Promise<void> {
    await this.until(() => false, ms);
  }

  /** Says something; resolves when it is said. Rejects with {@link CallOver}. */
  async say(speech: Buffer): Promise<void> {
    this.#speech = speech;
    this.#spokenBytes = 0;
    await this.until(() => this.#spokenBytes >= speech.length, Number.POSITIVE_INFINITY);
  }

  /**
   * Pings; resolves with the round trip in ms, undefined: no answer in time. Rejects with
   * {@link CallOver}.
   */
  async ping(limitMs: number): Promise<number | undefined> {
    const sentMs = performance.now();
    this.#connection.ping();
    const isAnswered = await this.until(() => this.#pongMs >= sentMs, limitMs);
    return isAnswered ? this.#pongMs - sentMs : undefined;
  }

  /** Tells the bot, if its dialect has a word for it. */
  tell(message: BridgeMessage): void {
    const text = this.#dialect.encode(message);
    if (text !== undefined) this.#connection.send(text);
  }

  /** Sends a message that is in no dialect. */
  sendRaw(message: object): void {
    this.#connection.send(JSON.stringify(message));
  }

  /**
   * Hangs up: the last message, then close 1000. Resolves with the ms until the socket was closed:
   * 1000 if it had to be closed by force.
   */
  async hangUp(): Promise<number> {
    this.tell({ type: 'hangup', reason: 'caller-hangup', cause: 16, causeText: 'Normal call clearing' });
    this.#isClosing = true;
    this.#pacing?.remove();
    const fromMs = performance.now();
    await this.#connection.close(CLOSE_CODE.normal);
    return performance.now() - fromMs;
  }

  /** For how long the bot has not been heard, ms. */
  get quietMs(): number {
    return performance.now() - this.lastHeardMs;
  }

  /** Audio that waits to be heard, ms. */
  get queuedMs(): number {
    return this.#queue.queuedMs;
  }

  get playout(): Readonly<PlayoutStats> {
    return this.#queue.stats;
  }

  /** Messages that could not be understood, by what was wrong. */
  get refused(): Readonly<Record<string, number>> {
    return this.#refusals.counts;
  }

  #tick(skippedFrames: number): void {
    const now = performance.now();
    // What was missed is said all the same: the bot is to hear every syllable.
    for (let frames = skippedFrames + 1; frames > 0; frames--) this.#sendFrame();
    const frame = this.#frame;
    if (this.#queue.read(frame, 0, now) === 'audio' && this.#isAudible(frame, 0, frame.length)) {
      this.firstHeardMs = Math.min(this.firstHeardMs, now);
      this.lastHeardMs = now;
    }
    this.#look();
  }

  #sendFrame(): void {
    const frame = Buffer.alloc(this.#frame.length, silenceByte(this.#format.encoding));
    this.#spokenBytes += this.#speech.copy(frame, 0, Math.min(this.#spokenBytes, this.#speech.length));
    if (this.#line.start.framing === 'binary') {
      this.#draft.begin(false, frame.length);
      this.#draft.copy(frame);
    } else this.#dialect.media(this.#draft, frame, 0, frame.length, this.#sentFrames * FRAME_MS);
    this.#connection.sendMedia(this.#draft);
    this.#sentFrames += 1;
  }

  #fromText(bytes: Buffer, start: number, end: number): void {
    const message = this.#dialect.decode(bytes, start, end);
    if (message.type === 'bad') return this.#refuse(message.code, message.detail);
    if (message.type === 'media') return this.#fromMedia(message, end - start);
    if (message.type === 'long-media') return this.#fromLongMedia(message, end - start);
    this.#refusals.understood();
    switch (message.type) {
      case 'clear': {
        this.#botAudio.restart();
        const cutMs = Math.round(this.#queue.clear());
        this.clears.push({ atMs: performance.now(), cutMs });
        return this.tell({ type: 'cleared', ms: cutMs });
      }
      case 'resume':
        return this.#queue.resume();
      case 'mark':
        this.marks.asked += 1;
        if (!this.#queue.mark(message.name)) this.#refuse('bad-field', 'too many marks wait');
        return;
      case 'hangup':
        return this.#goodbye('hangup');
      case 'transfer':
        this.#count('transfer');
        return this.tell({ type: 'transfer', status: 'failed', reason: 'bot-check' });
      case 'recording':
        this.#count('recording');
        return this.tell({ type: 'recording', state: 'off' });
      case 'dtmf':
        return this.#count('dtmf');
      case 'unknown':
        return this.#count(`unknown ${message.event || 'message without event'}`);
    }
  }

  #fromMedia(message: Extract<BotMessage, { type: 'media' }>, messageBytes: number): void {
    const begins = !this.#queue.playing;
    const { audio, length, encoding, sampleRate } = message;
    this.#botAudio.write(audio, length, encoding, sampleRate, performance.now());
    this.#note({ encoding, sampleRate }, length, messageBytes, begins);
  }

  #fromLongMedia(message: Extract<BotMessage, { type: 'long-media' }>, messageBytes: number): void {
    const { text, start, end, encoding, sampleRate } = message;
    const slices = new Base64Slices(text, start, end);
    const audio: Buffer[] = [];
    while (!slices.isDone) {
      const slice = slices.next();
      if (slice === undefined) return this.#refuse('bad-base64', 'media.payload is not base64');
      audio.push(Buffer.from(slice));
    }
    const all = Buffer.concat(audio);
    this.#fromMedia({ type: 'media', audio: all, length: all.length, encoding, sampleRate }, messageBytes);
  }

  #fromBinary(data: Buffer): void {
    const { framing } = this.#line.start;
    const { encoding, sampleRate } = this.#format;
    if (framing !== 'binary') return this.#refuse('binary', 'this call takes JSON, not binary messages');
    const begins = !this.#queue.playing;
    this.#botAudio.write(data, data.length, encoding, sampleRate, performance.now());
    this.#note(this.#format, data.length, data.length, begins);
  }

  #note(format: AudioFormat, bytes: number, messageBytes: number, begins: boolean): void {
    this.#refusals.understood();
    const { encoding, sampleRate } = format;
    this.encodings.add(sampleRate === this.#format.sampleRate ? encoding : `${encoding} at ${sampleRate} Hz`);
    if (bytes % bytesPerSample(encoding) !== 0) this.splitSamples += 1;
    const audioMs = bytes / bytesPerMs(format);
    this.media.push({ atMs: performance.now(), audioMs, messageBytes, begins });
  }

  #refuse(code: BadCode, detail: string): void {
    if (!this.bad.some((known) => known.code === code)) this.bad.push({ code, detail });
    const what = this.#refusals.refused(code, performance.now());
    if (what === 'tell') this.tell({ type: 'error', code, message: detail });
    if (what !== 'too-many' || this.#isClosing) return;
    this.#isClosing = true;
    this.#end(
      'refused',
      `${MAX_BAD_MESSAGES} messages in a row that cannot be understood: a bridge closes with 1008 there`,
    );
    void this.#connection.close(CLOSE_CODE.policyViolation);
  }

  #pong(): void {
    this.#pongMs = performance.now();
    this.#look();
  }

  #closed(code: number, reason: string): void {
    this.isClosed = true;
    if (this.#isClosing) return;
    if (code === CLOSE_CODE.normal || code === CLOSE_CODE.noCode)
      this.#goodbye(code === CLOSE_CODE.normal ? 'close 1000' : 'close without a code');
    else this.#end('lost', `closed with ${code}${reason === '' ? '' : ` (${reason})`}`);
  }

  /** A bridge plays what is queued, all but a long silence at its end, and hangs up. */
  #goodbye(how: string): void {
    const queuedMs = this.#queue.queuedMs;
    this.#queue.drain();
    const silentMs = this.#queue.stats.trimmedBytes / bytesPerMs(this.#format);
    const last = queuedMs > 0 ? `, ${Math.round(queuedMs - silentMs)} ms still to be played` : '';
    const cut = silentMs > 0 ? ` and ${Math.round(silentMs)} ms of silence cut` : '';
    this.#end('goodbye', `by ${how}${last}${cut}`);
  }

  #end(kind: Ending['kind'], detail: string): void {
    if (this.ending !== undefined) return;
    this.#pacing?.remove();
    const seconds = ((performance.now() - this.answeredMs) / 1000).toFixed(1);
    this.ending = { kind, detail: `${detail}, ${seconds} s into the call` };
    this.#look();
  }

  #count(what: string): void {
    this.asked.set(what, (this.asked.get(what) ?? 0) + 1);
  }
}

function fail(error: unknown): void {
  throw error;
}
