import { Clip, type Pace } from './clip.ts';

/** Sends clips one after the other, each at its pace, by the monotonic clock. */
export class Speaker {
  #send: (samples: Int16Array, lateMs: number) => void;
  #sampleRate: number;
  #queue: { clip: Clip; then: (() => void) | undefined }[] = [];
  #beganAtMs = 0;
  #playsUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `send` gets each chunk of samples when it is due, and by how much that is past. */
  constructor(sampleRate: number, send: (samples: Int16Array, lateMs: number) => void) {
    this.#sampleRate = sampleRate;
    this.#send = send;
  }

  /** The caller should hear audio now, if the bridge plays what it was sent at the right rate. */
  get speaking(): boolean {
    return this.#queue.length > 0 || this.#playsUntilMs > performance.now();
  }

  /** Queues audio; `then` is called once its last message is sent (not: played). */
  say(samples: Int16Array, pace: Pace, loop = false, then?: () => void): void {
    if (this.#queue.length === 0) this.#beganAtMs = Math.max(performance.now(), this.#beganAtMs);
    this.#queue.push({ clip: new Clip(samples, this.#sampleRate, pace, loop), then });
    if (this.#queue.length === 1) this.#run();
  }

  /** Forgets what has not been sent. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#beganAtMs = 0;
    this.#playsUntilMs = 0;
  }

  #run = (): void => {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const { clip, then } = first;
      const now = performance.now();
      const waitMs = this.#beganAtMs + clip.dueMs - now;
      if (!clip.done && waitMs > 0) {
        this.#timer = setTimeout(this.#run, waitMs);
        return;
      }
      if (!clip.done) {
        const samples = clip.take();
        this.#playsUntilMs = Math.max(now, this.#playsUntilMs) + (samples.length * 1000) / this.#sampleRate;
        this.#send(samples, -waitMs);
      }
      if (!clip.done || this.#queue[0] !== first) continue;
      this.#queue.shift();
      this.#beganAtMs = Math.max(now, this.#beganAtMs + clip.endMs);
      then?.();
    }
  };
}
