import type { WebSocket } from 'ws';
import { LIVE, type Pace } from './clip.ts';
import { bytesPerSample, decode, encode } from './format.ts';
import type { Message, Options, Start } from './messages.ts';
import type { CallRecord } from './record.ts';
import { Speaker } from './speaker.ts';
import { tone } from './tones.ts';
import type { Voice } from './voice.ts';

/** How a mode reacts during a call. */
export interface Reactions {
  answered?(): void;
  /** `payload` is the media message's, base64; `samples` decodes it. */
  media?(payload: string, samples: () => Int16Array): void;
  digit?(digit: string): void;
}

/** Puts a message into the wire format of the bot. */
export type Write = (message: Record<string, unknown>) => object;

/** Ping like a Pipecat server, in ms. */
const PING_MS = 20_000;

/** Now, in ms since the epoch, to a tenth of a millisecond and never backwards. */
export function nowMs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 10) / 10;
}

/** The bot's end of one call, from `start` on: what a mode can do. */
export class Bot {
  readonly start: Start;
  readonly record: CallRecord;
  readonly options: Options;
  #socket: WebSocket;
  #voice: Voice;
  #write: Write;
  #answered = false;
  #speaker: Speaker;
  #timers = new Set<NodeJS.Timeout>();

  constructor(
    socket: WebSocket,
    start: Start,
    record: CallRecord,
    options: Options,
    voice: Voice,
    write: Write,
  ) {
    this.#socket = socket;
    this.start = start;
    this.record = record;
    this.options = options;
    this.#voice = voice;
    this.#write = write;
    this.#speaker = new Speaker(start.sampleRate, (samples, lateMs) => this.#sendSamples(samples, lateMs));
    const pinger = setInterval(() => socket.ping(), PING_MS);
    this.#timers.add(pinger);
  }

  /** The caller should be hearing the bot now. */
  get speaking(): boolean {
    return this.#speaker.speaking;
  }

  /** Says a recorded phrase at a person's pace. */
  phrase(name: string, then?: () => void): void {
    this.#speaker.say(this.#voice.phrase(name, this.start.sampleRate), LIVE, false, then);
  }

  /** Plays a tone for `ms`; `then` is called when its last message is sent. */
  tone(hz: number, ms: number, pace: Pace = LIVE, then?: () => void): void {
    this.say(tone(hz, ms, this.start.sampleRate), pace, then);
  }

  /** Plays a tone, a multiple of 1 Hz, without end. */
  endlessTone(hz: number, pace: Pace = LIVE): void {
    this.#speaker.say(tone(hz, 1000, this.start.sampleRate), pace, true);
  }

  /** Plays samples of the call's rate. */
  say(samples: Int16Array, pace: Pace = LIVE, then?: () => void): void {
    this.#speaker.say(samples, pace, false, then);
  }

  /** Sends a payload of the call's encoding, without the optional fields. */
  sendPayload(payload: string): void {
    const bytes = Buffer.byteLength(payload, 'base64');
    const { framing } = this.start;
    this.#sendMedia(
      framing === 'binary' ? Buffer.from(payload, 'base64') : this.#text({ event: 'media', payload }),
      bytes,
      0,
    );
  }

  /** Stops speaking, here and at the bridge. */
  clear(): void {
    this.#speaker.stop();
    this.send({ event: 'clear', streamId: this.start.streamId });
  }

  /** Sends a message other than media, and notes it. */
  send(message: Record<string, unknown>): void {
    this.record.sentControl(message, nowMs());
    this.sendRaw(this.#text(message));
  }

  /** Sends anything, unseen. */
  sendRaw(data: string | Buffer): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(data);
  }

  /** Closes the WebSocket; 1006 cuts the socket instead. */
  close(code: number): void {
    this.record.closing();
    if (code === 1006) this.#socket.terminate();
    else this.#socket.close(code);
  }

  /** Reads nothing for `ms`, as a bot that hangs. */
  stopReading(ms: number): void {
    this.#socket.pause();
    this.after(ms, () => this.#socket.resume());
  }

  /** Calls `action` in `ms`, unless the call ends before. */
  after(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }

  /** Hands a message to the mode. */
  react(message: Message, reactions: Reactions): void {
    // Twilio knows no `answered`: the caller's first audio stands for it.
    if (!this.#answered && (message.event === 'answered' || message.event === 'media')) {
      this.#answered = true;
      reactions.answered?.();
    }
    if (message.event === 'dtmf') reactions.digit?.(message.digit);
    if (message.event === 'media') {
      reactions.media?.(message.payload, () =>
        decode(Buffer.from(message.payload, 'base64'), message.encoding),
      );
    }
  }

  /** The connection is gone: nothing happens any more. */
  ended(): void {
    this.#speaker.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #sendSamples(samples: Int16Array, lateMs: number): void {
    const { encoding, sampleRate, framing } = this.start;
    const bytes = encode(samples, encoding);
    const message = () =>
      this.#text({ event: 'media', encoding, sampleRate, payload: bytes.toString('base64') });
    this.#sendMedia(framing === 'binary' ? bytes : message(), bytes.length, lateMs);
  }

  #text(message: Record<string, unknown>): string {
    return JSON.stringify(this.#write(message));
  }

  #sendMedia(message: string | Buffer, bytes: number, lateMs: number): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    const { encoding, sampleRate } = this.start;
    const audioMs = (bytes * 1000) / sampleRate / bytesPerSample(encoding);
    this.record.sentMedia(bytes, audioMs, nowMs(), lateMs);
    this.sendRaw(message);
  }
}
