import { type Logger, type LoggerOptions, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * The process's logger: JSON lines on standard output. Numbers, names and custom variables of
 * callers are logged at level debug only. Secrets are never logged.
 */
export function createLogger(level: string): Logger {
  return pino(options(level));
}

/**
 * A logger for the line before the process ends. It waits until the line is written. The usual one
 * does not, and the line would be lost.
 */
export function createLastLogger(): Logger {
  return pino(options('fatal'), pino.destination({ fd: 1, sync: true }));
}

function options(level: string): LoggerOptions {
  return {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
}
