import type { Config } from './environment.ts';

/**
 * Settings that the process reads once, at its start. All others apply on reload. `.env.example`
 * and compose.yaml are held against this list by test/settings-lists.test.ts.
 */
const NEEDS_RESTART = [
  'ARI_URL',
  'ARI_USERNAME',
  'ARI_PASSWORD',
  'ARI_APP',
  'ARI_TIMEOUT_MS',
  'ARI_HEARTBEAT_MS',
  'ASTERISK_RTP_PORT_MIN',
  'ASTERISK_RTP_PORT_MAX',
  'RTP_ADDRESS',
  'RTP_PORT_MIN',
  'RTP_PORT_MAX',
  'MEDIA_WORKERS',
  'RECORDINGS_DIR',
  'RECORDS_DIR',
  'HTTP_ADDRESS',
  'HTTP_PORT',
  'PROVIDERS_DIR',
  'TZ',
  'extraCertificates',
] as const satisfies readonly (keyof Config)[];

const names: ReadonlySet<string> = new Set(NEEDS_RESTART);

/** Whether a change of this setting needs a restart. */
export function needsRestart(name: string): boolean {
  return names.has(name);
}
