import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Config, ConfigError, loadConfig, SECRETS, SETTINGS } from './environment.ts';
import { needsRestart } from './reloadable.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings that apply on reload. A process cannot see a change of its environment, so these are
 * in a file (`SETTINGS_FILE`), which `make up` and `make reload` write. The file is a JSON object;
 * its values go before those of the environment. Where no file is named the environment is all. One
 * that is named and missing is a fault: the environment lacks all these settings then.
 *
 * Names that this version does not know are told to `warn`, and count for nothing: a newer version
 * may have stored them, and then have been removed.
 */
export function withSettingsFile(environment: Environment, warn: (text: string) => void): Environment {
  const path = environment.SETTINGS_FILE;
  if (!path) return environment;
  const values = settingsOf(textOf(path));
  const unknown = unknownOf(values);
  if (unknown.length > 0)
    warn(`SETTINGS_FILE has settings that this version does not know: ${unknown.join(', ')}`);
  return { ...environment, ...without(values, unknown) };
}

/**
 * The configuration of a process that starts. Where the file's settings have a fault, those that
 * applied before count ({@link storeSettings}): an update that failed, or was killed, leaves
 * settings that another version checked.
 */
export function loadAtStart(environment: Environment, warn: (text: string) => void): Config {
  try {
    return loadConfig(withSettingsFile(environment, warn));
  } catch (error) {
    const before = `${environment.SETTINGS_FILE}.before`;
    if (!(error instanceof ConfigError) || !existsSync(before)) throw error;
    const config = loadWith({ ...environment, SETTINGS_FILE: before });
    if (config === undefined) throw error;
    warn(`the settings that applied before are used, since the new ones have a fault: ${error.message}`);
    return config;
  }
}

function loadWith(environment: Environment): Config | undefined {
  try {
    return loadConfig(withSettingsFile(environment, () => {}));
  } catch {
    return undefined;
  }
}

/**
 * The environment with such a file's text. Throws a {@link ConfigError}, also for unknown names.
 */
export function withSettings(environment: Environment, text: string): Environment {
  const values = settingsOf(text);
  const unknown = unknownOf(values);
  if (unknown.length > 0)
    throw new ConfigError(`SETTINGS_FILE: has what no reload applies: ${unknown.join(', ')}`);
  return { ...environment, ...values };
}

/** The settings of a file that have a value. */
function settingsOf(text: string): Record<string, string> {
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
  const filled = Object.entries(values as Record<string, string>).filter(([, value]) => value.trim() !== '');
  return Object.fromEntries(filled);
}

/**
 * Writes the settings that have a value, so that who reads the file gets the old text or the new
 * one. What was there before is in a copy, `.before`, until the scripts have seen that the new ones
 * apply: then they remove it, else they put it back (scripts/reloads.sh). A copy that is there
 * stays: what came after it was never seen to apply.
 */
export function storeSettings(path: string, text: string): void {
  const before = `${path}.before`;
  if (existsSync(path) && !existsSync(before)) {
    copyFileSync(path, `${before}.new`);
    renameSync(`${before}.new`, before);
  }
  writeFileSync(`${path}.new`, `${JSON.stringify(settingsOf(text), undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Names that the file may have: settings that apply on reload, also by file (`NAME_FILE`). */
export const RELOADABLE: ReadonlySet<string> = new Set(
  [...SETTINGS, ...SECRETS]
    .filter((name) => !needsRestart(name))
    .flatMap((name) => ((SECRETS as readonly string[]).includes(name) ? [name, `${name}_FILE`] : [name])),
);

function unknownOf(values: Readonly<Record<string, string>>): string[] {
  return Object.keys(values).filter((name) => !RELOADABLE.has(name));
}

function without(values: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new ConfigError(`SETTINGS_FILE: ${path} is missing; it is written by: make up`);
    throw new ConfigError(`SETTINGS_FILE: cannot be read (${code ?? 'unknown'})`);
  }
}
