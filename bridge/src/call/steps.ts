/** When a call reached each step of its life. */
export class Steps {
  /** Time of the offer, ms: first on the monotonic clock, then in Unix time. */
  readonly offeredMs = performance.now();
  readonly offeredAtMs = Date.now();
  readonly #ms = new Map<string, number>();

  /** Ms from the offer to each step that was reached. */
  get ms(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#ms);
  }

  /** The call is at this step. Only the first time counts. */
  mark(step: string): void {
    if (!this.#ms.has(step)) this.#ms.set(step, Math.round(performance.now() - this.offeredMs));
  }
}
