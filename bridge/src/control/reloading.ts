import { type Config, ConfigError } from '../config/environment.ts';
import type { ConfigChange, LiveConfig } from '../config/live-config.ts';
import type { Logger } from '../log.ts';

/** What a reload came to. */
export type Reload = ConfigChange | { readonly refused: string };

/** What a reload works with. */
export interface ReloadContext {
  readonly live: LiveConfig;
  /** Tells the parts that act on a change at once. The others read each value when they need it. */
  readonly apply: (change: ConfigChange) => void;
  readonly log: Logger;
}

/**
 * Applies what has changed in the configuration while the bridge runs. A configuration with a fault
 * is refused as a whole, and what runs goes on.
 */
export class Reloading {
  readonly #context: ReloadContext;
  #last: Promise<unknown> = Promise.resolve();
  #refused = false;

  constructor(context: ReloadContext) {
    this.#context = context;
  }

  /** Whether the last reload was refused: what runs is not what the files say. */
  get wasRefused(): boolean {
    return this.#refused;
  }

  /** `load` reads the configuration. One reload runs at a time, and reads when its turn comes. */
  reload(load: () => Config): Promise<Reload> {
    const next = this.#last.then(() => this.#reload(load));
    this.#last = next.catch(() => {});
    return next;
  }

  async #reload(load: () => Config): Promise<Reload> {
    const { live, apply, log } = this.#context;
    try {
      const change = live.takeOver(load());
      apply(change);
      this.#refused = false;
      log.info(change, 'configuration reloaded');
      return change;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#refused = true;
      log.error({ error: error.message }, 'reload refused, what runs goes on');
      return { refused: error.message };
    }
  }
}
