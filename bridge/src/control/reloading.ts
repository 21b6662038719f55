import { providersVariable } from '../ari/reload-variables.ts';
import { type Config, ConfigError } from '../config/environment.ts';
import { providersGeneration } from '../config/generation.ts';
import type { ConfigChange, LiveConfig } from '../config/live-config.ts';
import type { Logger } from '../log.ts';
import { reloadAsterisk, type Variables } from './asterisk-reload.ts';

/** What a reload came to. */
export type Reload = ConfigChange | { readonly refused: string };

/** What a reload works with. */
export interface ReloadContext {
  readonly live: LiveConfig;
  /** Tells the parts that act on a change at once. The others read each value when they need it. */
  readonly apply: (change: ConfigChange) => void;
  readonly ari: Variables;
  readonly log: Logger;
}

/**
 * Applies what has changed in the configuration while the bridge runs. A configuration with a fault
 * is refused as a whole, and what runs goes on. The bridge checks first. Then Asterisk checks and
 * applies the same provider files, then the bridge: neither goes by files that the other refused.
 */
export class Reloading {
  readonly #context: ReloadContext;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #refused = false;
  /** Digest of the provider files that run here. */
  #generation: string | undefined;
  /** What was seen of Asterisk's files and ours when a reload was tried for them. */
  #tried = '';
  #watch: NodeJS.Timeout | undefined;

  constructor(context: ReloadContext) {
    this.#context = context;
    this.#generation = readGeneration(context.live.config.PROVIDERS_DIR);
  }

  /**
   * Reloads where Asterisk goes by other provider files: it, or this process, was started anew, and
   * has read what nobody had reloaded.
   */
  follow(load: () => Config, everyMs: number): void {
    this.#watch = setInterval(() => void this.#follow(load), everyMs);
  }

  /** Follows no more. */
  stop(): void {
    clearInterval(this.#watch);
  }

  /** Whether the last reload was refused: what runs is not what the files say. */
  get wasRefused(): boolean {
    return this.#refused;
  }

  /** `load` reads the configuration. One reload runs at a time, and reads when its turn comes. */
  reload(load: () => Config): Promise<Reload> {
    this.#underWay += 1;
    const next = this.#last
      .then(() => this.#reload(load))
      .finally(() => {
        this.#underWay -= 1;
      });
    this.#last = next.catch(() => {});
    return next;
  }

  async #follow(load: () => Config): Promise<void> {
    const { live, ari, log } = this.#context;
    const { PROVIDERS_DIR: directory, ARI_APP: app } = live.config;
    const theirs = await ari.globalVariable(providersVariable(app)).catch(() => '');
    const seen = `${theirs} ${readGeneration(directory)}`;
    if (this.#underWay > 0 || theirs === '' || theirs === this.#generation || seen === this.#tried) return;
    this.#tried = seen;
    log.warn('Asterisk goes by other provider files: they are read again');
    await this.reload(load);
  }

  async #reload(load: () => Config): Promise<Reload> {
    const { live, apply, log } = this.#context;
    try {
      const { next, asterisk } = await this.#accepted(load);
      const change = live.takeOver(next);
      apply(change);
      this.#refused = false;
      log.info({ ...change, asterisk }, 'configuration reloaded');
      return change;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#refused = true;
      log.error({ error: error.message }, 'reload refused, what runs goes on');
      return { refused: error.message };
    }
  }

  /** The configuration, once Asterisk goes by the same provider files; what it says of them. */
  async #accepted(load: () => Config): Promise<{ next: Config; asterisk?: string }> {
    const { live, ari } = this.#context;
    const { PROVIDERS_DIR: directory, ARI_APP: app } = live.config;
    if (directory === undefined) return { next: load() };
    const generation = readGeneration(directory);
    const next = load();
    if (generation === undefined || generation !== readGeneration(directory))
      throw new ConfigError('files of providers have changed meanwhile; reload again');
    const answer = await reloadAsterisk(ari, app, generation);
    if (answer === undefined) return { next };
    if ('refused' in answer) throw new ConfigError(`Asterisk: ${answer.refused}`);
    this.#generation = generation;
    return { next, asterisk: answer.applied };
  }
}

/** Undefined: the files cannot be read just now. */
function readGeneration(directory: string | undefined): string | undefined {
  try {
    return directory === undefined ? undefined : providersGeneration(directory);
  } catch {
    return undefined;
  }
}
