import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * The process's logger: JSON lines on standard output. Numbers, names and custom variables of
 * callers are logged at level debug only. Secrets are never logged.
 */
export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
