import { EchoGuard } from './echo-guard.ts';
import type { AudioFormat } from './format.ts';
import { SpeechDetector } from './speech-detector.ts';

/**
 * Detects that the caller speaks while the bot plays, and ignores the bot's own echo. One object
 * per call. Pass every 20 ms frame, sent and received, in order.
 */
export class BargeIn {
  readonly #guard: EchoGuard;
  readonly #detector = new SpeechDetector();
  #playing = false;

  constructor(format: AudioFormat) {
    this.#guard = new EchoGuard(format);
  }

  /** Whether the caller speaks: true from `start` to `stop`. */
  get speaking(): boolean {
    return this.#detector.speaking;
  }

  /**
   * Notes a frame that is sent to the caller. `isAudio`: it is audio of the bot, not inserted
   * silence.
   */
  played(source: Buffer, start: number, end: number, isAudio: boolean): void {
    this.#playing = isAudio;
    this.#guard.played(source, start, end);
  }

  /**
   * Takes a frame from the caller. Returns `start` only while the bot plays. Returns `stop` after a
   * `start` whether the bot plays or not.
   */
  heard(source: Buffer, start: number, end: number): 'start' | 'stop' | undefined {
    const power = this.#guard.heard(source, start, end);
    if (!this.#playing) {
      if (this.speaking) return this.#detector.push(power, power);
      this.#detector.observe(power);
      return undefined;
    }
    const { threshold } = this.#detector;
    const speech = power >= threshold ? this.#guard.nearPower() : power;
    if (speech < threshold) this.#guard.learn();
    return this.#detector.push(power, speech);
  }
}
