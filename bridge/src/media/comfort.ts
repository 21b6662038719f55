import { BotAudio } from '../audio/bot-audio.ts';
import type { AudioFormat } from '../audio/format.ts';
import type { PlayoutQueue } from '../audio/playout-queue.ts';
import { comfortTone } from '../audio/tone.ts';
import { WAV_RATE } from '../audio/wav-file.ts';

/** How often it is checked whether the caller has something to hear. */
const CHECK_MS = 100;
/** Interval of the tone. */
const TONE_EVERY_MS = 2_000;
/** Music is queued in pieces of this length, so that little is queued when the bot is back. */
const PIECE_MS = 200;
const PIECE_BYTES = (PIECE_MS * WAV_RATE * 2) / 1000;

/** What the caller hears while a lost bot is reconnected: a tone now and then, or music. */
export interface ComfortSettings {
  readonly line: AudioFormat;
  /** The operator's music, pcm16 at 8000 Hz. Undefined: the tone. */
  readonly comfortMusic: Uint8Array | undefined;
}

/** Tells the caller that the line is alive, as soon as the bot's queued audio has been played. */
export class Comfort {
  readonly #queue: PlayoutQueue;
  readonly #isRelaying: () => boolean;
  /** Monotonic clock, ms. */
  readonly #now: () => number;
  readonly #tone: Buffer;
  readonly #music: Buffer | undefined;
  readonly #audio: BotAudio;
  /** The music goes on where it was at the last loss. */
  #at = 0;
  #nextToneMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: ComfortSettings, queue: PlayoutQueue, isRelaying: () => boolean, now: () => number) {
    const { line, comfortMusic: music } = settings;
    this.#queue = queue;
    this.#isRelaying = isRelaying;
    this.#now = now;
    this.#tone = comfortTone(line);
    if (music !== undefined) this.#music = Buffer.from(music.buffer, music.byteOffset, music.length);
    this.#audio = new BotAudio(queue, line);
  }

  start(): void {
    this.#nextToneMs = 0;
    this.#check();
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    if (!this.#isRelaying()) return;
    if (this.#music !== undefined) this.#playMusic(this.#music);
    else this.#playTone();
  }

  #playTone(): void {
    const nowMs = this.#now();
    if (this.#queue.queuedMs > 0 || nowMs < this.#nextToneMs) return;
    this.#nextToneMs = nowMs + TONE_EVERY_MS;
    this.#queue.write(this.#tone, 0, this.#tone.length, nowMs);
  }

  #playMusic(music: Buffer): void {
    if (this.#queue.queuedMs >= PIECE_MS) return;
    const piece = music.subarray(this.#at, this.#at + PIECE_BYTES);
    this.#at = (this.#at + piece.length) % music.length;
    this.#audio.write(piece, piece.length, 'pcm16', WAV_RATE, this.#now());
  }
}
