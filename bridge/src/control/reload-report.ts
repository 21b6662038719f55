import { renameSync, writeFileSync } from 'node:fs';
import type { ConfigChange } from '../config/live-config.ts';

/** Where `make reload` and `make up` find it (scripts/reloads.sh). A tmpfs of the container. */
const REPORT_FILE = '/run/pipecat-bridge/reload';

/** What the last reload came to. */
export type ReloadOutcome =
  | { readonly change: ConfigChange; readonly asterisk: string | undefined }
  | { readonly refused: string };

/**
 * How many reloads were asked for and are done since the start of the process, and the last one.
 */
export interface ReloadReport {
  readonly asked: number;
  readonly done: number;
  readonly outcome: ReloadOutcome | undefined;
}

/**
 * Writes the report for who has sent SIGHUP, whatever LOG_LEVEL is. A signal has no answer, and the
 * log is for people.
 */
export function writeReloadReport(report: ReloadReport, path = REPORT_FILE): void {
  try {
    writeFileSync(`${path}.new`, reportText(report), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    // Outside a container the folder may not exist, and nobody reads it.
  }
}

/** The first line is for the script, the others are for the operator. */
function reportText({ asked, done, outcome }: ReloadReport): string {
  const first = `asked ${asked} done ${done}`;
  if (outcome === undefined) return `${first} none\n`;
  if ('refused' in outcome) return `${first} refused\n${outcome.refused}\n`;
  const bridge = `bridge: ${outcome.change.applied.join(', ') || 'nothing'}\n`;
  const asterisk = outcome.asterisk?.replace(/^applied: /, '');
  return `${first} applied\n${bridge}${asterisk === undefined ? '' : `Asterisk: ${asterisk}\n`}`;
}
