import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { ConfigError, SECRETS, SETTINGS } from './environment.ts';
import { needsRestart } from './reloadable.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings that apply on reload. A process cannot see a change of its environment, so these are
 * in a file (`SETTINGS_FILE`), which `make up` and `make reload` write. The file is a JSON object;
 * its values go before those of the environment. Without the file the environment is all.
 */
export function withSettingsFile(environment: Environment, path = environment.SETTINGS_FILE): Environment {
  return path === undefined ? environment : withSettings(environment, textOf(path));
}

/** The environment with such a file's text. Throws a {@link ConfigError}. */
export function withSettings(environment: Environment, text: string | undefined): Environment {
  if (text === undefined) return environment;
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw new ConfigError('SETTINGS_FILE: is not JSON');
  }
  if (
    typeof values !== 'object' ||
    values === null ||
    Object.values(values).some((v) => typeof v !== 'string')
  )
    throw new ConfigError('SETTINGS_FILE: is not an object of texts');
  const wrong = Object.keys(values).filter((name) => !RELOADABLE.has(name));
  if (wrong.length > 0)
    throw new ConfigError(`SETTINGS_FILE: has what no reload applies: ${wrong.join(', ')}`);
  return { ...environment, ...filled(values as Record<string, string>) };
}

/** Writes the file, so that who reads it gets the old text or the new one. */
export function storeSettings(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Names that the file may have: settings that apply on reload, also by file (`NAME_FILE`). */
export const RELOADABLE: ReadonlySet<string> = new Set(
  [...SETTINGS, ...SECRETS]
    .filter((name) => !needsRestart(name))
    .flatMap((name) => ((SECRETS as readonly string[]).includes(name) ? [name, `${name}_FILE`] : [name])),
);

function filled(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value.trim() !== ''));
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new ConfigError(`SETTINGS_FILE: cannot be read (${code ?? 'unknown'})`);
  }
}
