import { createHmac } from 'node:crypto';
import type { Config } from './environment.ts';

const DIGEST_CHARS = 32;

/**
 * A digest of what the configuration says, with the files that it names. Comments, order and
 * spelling do not count. `make up` compares the digest of the running process with that of
 * `--check`: if they are equal, a restart would change nothing. It is public (`/livez`), and keyed,
 * so that secrets cannot be guessed from it.
 */
export function configDigest(config: Config): string {
  const text = JSON.stringify(config, (_key, value: unknown) =>
    value instanceof Map || value instanceof Set
      ? [...value]
      : typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
  );
  return createHmac('sha256', config.ARI_PASSWORD).update(text).digest('hex').slice(0, DIGEST_CHARS);
}
