import { providersVariable } from '../ari/reload-variables.ts';
import { type Config, ConfigError } from '../config/environment.ts';
import { providersGeneration } from '../config/generation.ts';
import type { ConfigChange, LiveConfig } from '../config/live-config.ts';
import type { Logger } from '../log.ts';
import { reloadAsterisk, type Variables } from './asterisk-reload.ts';
import type { ReloadOutcome, ReloadReport } from './reload-report.ts';

/** What a reload came to. */
export type Reload = ConfigChange | { readonly refused: string };

/** What a reload works with. */
export interface ReloadContext {
  readonly live: LiveConfig;
  /** Tells the parts that act on a change at once. The others read each value when they need it. */
  readonly apply: (change: ConfigChange) => void;
  readonly ari: Variables;
  /** Gets what is asked for, and what became of it, when that changes. */
  readonly report: (report: ReloadReport) => void;
  readonly log: Logger;
}

/** Longest pause between tries to follow Asterisk. */
const FOLLOW_MAX_MS = 300_000;

/** A refusal where the files have no fault: the same ones may be taken another time. */
class NotNowError extends Error {}

/** A configuration that bridge and Asterisk both go by. */
interface Accepted {
  readonly next: Config;
  readonly generation: string | undefined;
  /** What Asterisk says. Undefined: it was not asked. */
  readonly asterisk?: string;
}

/**
 * Applies what has changed in the configuration while the bridge runs. A configuration with a fault
 * is refused as a whole, and what runs goes on. The bridge checks first. Then Asterisk checks and
 * applies the same provider files, then the bridge: neither goes by files that the other refused.
 */
export class Reloading {
  readonly #context: ReloadContext;
  #last: Promise<unknown> = Promise.resolve();
  #asked = 0;
  #done = 0;
  #outcome: ReloadOutcome | undefined;
  /** Whether the last refusal was for a fault of the files: they are refused again, unchanged. */
  #isFault = false;
  /** Digest of the provider files that run here. */
  #generation: string | undefined;
  /** What was seen of Asterisk's files and ours when a reload was tried for them. */
  #tried = { seen: '', pauseMs: 0, untilMs: 0 };
  #watch: NodeJS.Timeout | undefined;

  constructor(context: ReloadContext) {
    this.#context = context;
    this.#generation = readGeneration(context.live.config.PROVIDERS_DIR);
    this.#report();
  }

  /**
   * Reloads where Asterisk goes by other provider files: it, or this process, was started anew, and
   * has read what nobody had reloaded. Files with a fault are tried once. Otherwise it is tried
   * again, after longer and longer pauses.
   */
  follow(load: () => Config, everyMs: number): void {
    this.#watch = setInterval(() => void this.#follow(load, everyMs), everyMs);
  }

  /** Follows no more. */
  stop(): void {
    clearInterval(this.#watch);
  }

  /** Whether the last reload was refused: what runs is not what the files say. */
  get wasRefused(): boolean {
    return this.#outcome !== undefined && 'refused' in this.#outcome;
  }

  /**
   * `load` reads the configuration. One reload runs at a time, and reads when its turn comes. Never
   * rejects.
   */
  reload(load: () => Config): Promise<Reload> {
    this.#asked += 1;
    this.#report();
    const next = this.#last.then(async () => {
      const result = await this.#reload(load);
      this.#done += 1;
      this.#report();
      return result;
    });
    this.#last = next;
    return next;
  }

  #report(): void {
    this.#context.report({ asked: this.#asked, done: this.#done, outcome: this.#outcome });
  }

  async #follow(load: () => Config, everyMs: number): Promise<void> {
    const { live, ari, log } = this.#context;
    const { PROVIDERS_DIR: directory, ARI_APP: app } = live.config;
    const theirs = await ari.globalVariable(providersVariable(app)).catch(() => '');
    if (this.#asked > this.#done || theirs === '') return;
    const seen = theirs === this.#generation ? '' : `${theirs} ${readGeneration(directory)}`;
    const isAgain = seen === this.#tried.seen;
    if (!isAgain) this.#tried = { seen, pauseMs: everyMs, untilMs: 0 };
    if (seen === '' || performance.now() < this.#tried.untilMs) return;
    log.warn('Asterisk goes by other provider files: they are read again');
    await this.reload(load);
    const pauseMs = isAgain ? Math.min(2 * this.#tried.pauseMs, FOLLOW_MAX_MS) : everyMs;
    const isUseless = this.wasRefused && this.#isFault;
    const untilMs = isUseless ? Number.POSITIVE_INFINITY : performance.now() + pauseMs;
    this.#tried = { seen, pauseMs, untilMs };
  }

  async #reload(load: () => Config): Promise<Reload> {
    const { live, apply, log } = this.#context;
    try {
      const { next, generation, asterisk } = await this.#accepted(load);
      const change = live.takeOver(next);
      this.#generation = generation;
      apply(change);
      this.#outcome = { change, asterisk };
      log.info({ ...change, asterisk }, 'configuration reloaded');
      return change;
    } catch (error) {
      // Also one that nobody foresaw, as too many open files: a reload never ends the process.
      const refused = (error as Error).message;
      this.#isFault = error instanceof ConfigError;
      this.#outcome = { refused };
      log.error({ error: refused }, 'reload refused, what runs goes on');
      return { refused };
    }
  }

  /** The configuration, once Asterisk goes by the same provider files. */
  async #accepted(load: () => Config): Promise<Accepted> {
    const { live, ari } = this.#context;
    const { PROVIDERS_DIR: directory, ARI_APP: app } = live.config;
    const generation = readGeneration(directory);
    const next = load();
    if (directory === undefined) return { next, generation };
    if (generation === undefined || generation !== readGeneration(directory))
      throw new NotNowError('files of providers have changed meanwhile; reload again');
    const answer = await reloadAsterisk(ari, app, generation);
    if (answer === undefined) return { next, generation };
    if ('applied' in answer) return { next, generation, asterisk: answer.applied };
    const text = `Asterisk: ${answer.refused}`;
    throw answer.isFault ? new ConfigError(text) : new NotNowError(text);
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
