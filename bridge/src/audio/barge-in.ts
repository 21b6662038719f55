import { EchoGuard } from './echo-guard.ts';
import type { AudioFormat } from './format.ts';
import { SpeechDetector } from './speech-detector.ts';

/**
 * Hears a caller speak while the bot is playing, and not the bot's own echo. One object a call; give it every frame of
 * 20 ms, sent and received, as they go by.
 */
export class BargeIn {
  readonly #guard: EchoGuard;
  readonly #detector = new SpeechDetector();
  #playing = false;

  constructor(format: AudioFormat) {
    this.#guard = new EchoGuard(format);
  }

  /** Whether the caller speaks: between `start` and `stop`. */
  get speaking(): boolean {
    return this.#detector.speaking;
  }

  /** Notes a frame that is sent to the caller. `isAudio`: it is the bot's, no silence of ours. */
  played(source: Buffer, start: number, end: number, isAudio: boolean): void {
    this.#playing = isAudio;
    this.#guard.played(source, start, end);
  }

  /** Takes a frame from the caller. `start` comes only while the bot is playing; `stop` follows it whatever is playing. */
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
