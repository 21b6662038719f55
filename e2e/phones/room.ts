/** Where a handset lies: its microphone hears the caller, and the loudspeaker a little. */

import { decodeUlaw, encodeUlaw } from '../mock-pipecat/src/tones.ts';
import { FRAME, type Handset, nowMs } from './handset.ts';

/** How the loudspeaker comes back. */
export interface Echo {
  /** Loudness relative to what was played, in dB. */
  db: number;
  delayMs: number;
}

const FRAME_MS = 20;

/** Speaks into a handset: echo all the time, and a voice when asked to. */
export class Room {
  /** What the loudspeaker has played and the microphone has not heard yet, frame by frame. */
  readonly #air: Uint8Array[] = [];
  #voice: Float64Array = new Float64Array();
  #said = 0;
  #heard: ((atMs: number) => void) | undefined;

  constructor(handset: Handset, { db, delayMs }: Echo) {
    const gain = 10 ** (db / 20);
    const delay = delayMs / FRAME_MS;
    handset.onAudio = (payload) => this.#air.push(payload);
    handset.talk(() => {
      const echo = this.#air.length > delay ? this.#air.shift() : undefined;
      const played = echo === undefined ? new Int16Array(FRAME) : decodeUlaw(echo);
      return encodeUlaw(this.#withVoice(played.map((sample) => sample * gain)));
    });
  }

  /** Says 8 kHz samples; resolves with when their first packet left, in ms since 1970. */
  say(samples: Float64Array): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#voice = samples;
    this.#said = 0;
    this.#heard = resolve;
    return promise;
  }

  #withVoice(frame: Int16Array): Int16Array {
    if (this.#said >= this.#voice.length) return frame;
    const from = this.#said;
    this.#said += FRAME;
    this.#heard?.(nowMs());
    this.#heard = undefined;
    return frame.map((sample, at) =>
      Math.max(-32768, Math.min(32767, sample + (this.#voice[from + at] ?? 0))),
    );
  }
}
