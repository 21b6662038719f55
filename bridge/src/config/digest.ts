import { createHmac } from 'node:crypto';
import type { Config } from './environment.ts';
import { needsRestart } from './reloadable.ts';

const DIGEST_CHARS = 32;

/**
 * A digest of what the configuration says, with the files that it names. Comments, order and
 * spelling do not count. `make up` compares the digest of the running process with that of
 * `--check`: if they are equal, nothing is to be applied. It is public (`/livez`), and keyed, so
 * that secrets cannot be guessed from it.
 */
export function configDigest(config: Config): string {
  return digest(config, asked(config));
}

/** The same, of what needs a restart: if these are equal, a reload applies everything. */
export function restartDigest(config: Config): string {
  return digest(
    config,
    Object.fromEntries(Object.entries(asked(config)).filter(([name]) => needsRestart(name))),
  );
}

/**
 * A digest of the Stasis app and its Asterisk. Two processes with the same one are of one bridge,
 * and hand over to each other. It is public too.
 */
export function appDigest(config: Config): string {
  return digest(config, [config.ARI_URL, config.ARI_APP]);
}

/** A value of the configuration as text: equal values have equal texts. */
export function configText(value: unknown): string {
  return JSON.stringify(value, (_key, value: unknown) =>
    value instanceof Map || value instanceof Set
      ? [...value]
      : typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
  );
}

/** What the operator asked for: a number of workers that follows from MAX_CALLS is not. */
function asked(config: Config): Record<string, unknown> {
  return { ...config, ...(config.hasDerivedWorkers ? { MEDIA_WORKERS: undefined } : {}) };
}

function digest(config: Config, value: object): string {
  return createHmac('sha256', config.ARI_PASSWORD)
    .update(configText(value))
    .digest('hex')
    .slice(0, DIGEST_CHARS);
}
