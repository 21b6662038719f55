/**
 * Which of our Stasis apps are active: their events arrive here. Asterisk hangs up a channel that
 * enters an app that is not.
 */
export class ActiveApps {
  readonly #current: () => string;
  readonly #active = new Set<string>();
  #outages = 0;
  #changed = Promise.withResolvers<void>();

  /** `current`: the app that new channels enter. */
  constructor(current: () => string) {
    this.#current = current;
  }

  /** Whether the app that new channels enter is active. */
  get isActive(): boolean {
    return this.#active.has(this.#current());
  }

  /** How often the events of an app have ended. */
  get outages(): number {
    return this.#outages;
  }

  /** The events of an app arrive from now on. */
  opened(app: string): void {
    this.#active.add(app);
    this.changed();
  }

  /** The events of an app do not arrive any more. */
  socketClosed(app: string): void {
    if (this.#active.delete(app)) this.#outages += 1;
  }

  /** New channels may enter another app from now on. */
  changed(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** Resolves when {@link isActive} holds. Has no time limit. */
  async whenActive(): Promise<void> {
    while (!this.isActive) await this.#changed.promise;
  }
}
