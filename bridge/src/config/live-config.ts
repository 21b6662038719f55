import { configText } from './digest.ts';
import { type Config, SETTINGS } from './environment.ts';
import { needsRestart } from './reloadable.ts';

/** What a reload did. Settings by name, providers by file. */
export interface ConfigChange {
  readonly applied: readonly string[];
  /** Differ from what runs, and stay as they are until a restart. */
  readonly needRestart: readonly string[];
}

/** The configuration that the process runs with. A reload exchanges it as a whole. */
export class LiveConfig {
  /**
   * Each property is the value of now, whenever it is read. Who copies one keeps it: a call does so
   * when it begins.
   */
  readonly config: Config;
  #now: Config;

  constructor(config: Config) {
    this.#now = config;
    const views = namesOf(config).map(
      (name) => [name, { enumerable: true, get: () => this.#now[name] }] as const,
    );
    this.config = Object.defineProperties({}, Object.fromEntries(views)) as Config;
  }

  /** Takes of the next configuration what does not need a restart. */
  takeOver(next: Config): ConfigChange {
    const before = this.#now;
    const changed = namesOf(before).filter(
      (name) => name !== 'providers' && configText(before[name]) !== configText(next[name]),
    );
    const needRestart = changed.filter(needsRestart).filter((name) => !isDerived(name, before, next));
    const kept = Object.fromEntries(changed.filter(needsRestart).map((name) => [name, before[name]]));
    this.#now = { ...next, ...kept };
    const applied = changed.filter((name) => !needsRestart(name) && name !== 'hasDerivedWorkers');
    return { applied: [...applied, ...changedProviders(before, next)], needRestart };
  }
}

/** Of all values, also those that are not set. */
function namesOf(config: Config): (keyof Config)[] {
  return [...new Set([...SETTINGS, ...Object.keys(config)])] as (keyof Config)[];
}

/** The number of workers follows MAX_CALLS at the start only. Nobody asked for another one. */
function isDerived(name: string, before: Config, next: Config): boolean {
  return name === 'MEDIA_WORKERS' && before.hasDerivedWorkers && next.hasDerivedWorkers;
}

function changedProviders(before: Config, next: Config): string[] {
  const names = new Set([...before.providers.keys(), ...next.providers.keys()]);
  const text = ({ providers }: Config, name: string) => configText(providers.get(name));
  return [...names].filter((name) => text(before, name) !== text(next, name)).map((name) => `${name}.env`);
}
