import { readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { appDigest, configDigest, restartDigest } from './config/digest.ts';
import { ConfigError, loadConfig, portNeeds } from './config/environment.ts';
import { rangeWarnings } from './config/port-ranges.ts';
import { loadAtStart, storeSettings, withSettings, withSettingsFile } from './config/settings-file.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { exitNow } from './exit.ts';
import { createLastLogger, createLogger, type Logger } from './log.ts';
import { openNursery } from './media/nursery.ts';

/** Exit codes. 78 is EX_CONFIG of sysexits.h: a restart without a change does not help. */
const EXIT_FAILURE = 1;
const EXIT_CONFIG = 78;
/** File descriptor. */
const STDIN = 0;
/** Added to the time limits of the shutdown's own steps. */
const SHUTDOWN_SLACK_MS = 5_000;
const lastLog = createLastLogger();
/** Each of the last words and the undelivered callbacks may take `SHUTDOWN_MS`. */
const SHUTDOWN_STEPS = 2;

/**
 * Threads for DNS lookups and file access (libuv's thread pool). At most half of them look up names
 * at a time. A name whose server does not answer blocks a thread for many seconds. The pool is
 * created at its first use, with this size.
 */
const POOL_THREADS = '64';

/**
 * Nice value added to call control. On a full core, live calls' audio then gets three quarters of
 * the CPU time, and new calls are set up later.
 */
const CONTROL_NICE = 5;
const NICE_MAX = 19;

/**
 * Linux applies it to the calling thread only (setpriority(2)), and to threads that it starts
 * later. The media workers' parent has been started before.
 */
function lowerPriority(): void {
  setPriority(Math.min(NICE_MAX, getPriority() + CONTROL_NICE));
}

/**
 * Logs an uncaught error (level fatal) and exits with 1: the state of the process is unknown.
 * Docker restarts it, and the next start adopts the calls.
 */
function exitOnUncaughtError(): void {
  const logAndExit = (err: unknown) => {
    lastLog.fatal({ err }, 'uncaught error, the process ends');
    exitNow(EXIT_FAILURE);
  };
  process.on('uncaughtException', logAndExit);
  process.on('unhandledRejection', logAndExit);
}

/**
 * Signals, and a handover, decide when the process ends and what becomes of its calls: see
 * `switchboard/departure.ts`.
 */
function endWhenDue(daemon: Daemon, log: Logger): void {
  const { departure } = daemon;
  const ended = departure.way().then((way) => {
    setTimeout(
      () => {
        lastLog.fatal('the shutdown took too long, the process ends');
        exitNow(EXIT_FAILURE);
      },
      SHUTDOWN_STEPS * daemon.shutdownMs + SHUTDOWN_SLACK_MS,
    ).unref();
    return way === 'leave' ? daemon.leave() : daemon.stop();
  });
  ended.then(
    () => (daemon.hanging ? exitNow(0) : process.exit(0)),
    (err: unknown) => {
      lastLog.fatal({ err }, 'the shutdown failed');
      exitNow(EXIT_FAILURE);
    },
  );
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.on(name, (signal) => {
      log.info({ signal }, 'signal received');
      departure.stop();
    });
  // `make up` has started a successor: nothing is lost if it dies before it has the calls.
  process.on('SIGQUIT', (signal) => {
    log.info({ signal }, 'signal received');
    departure.retire();
  });
  // `make up DRAIN=1` sends it again and again while it waits for the calls.
  process.on('SIGUSR2', () => daemon.suspendCalls());
}

/**
 * Checks the configuration, and starts nothing: `make up` does so before it stops the running
 * bridge. The digests tell whether it has to: the running bridge shows its own at /livez. With `-`
 * the settings file's text comes from standard input. `--store` then writes it.
 */
function check([mode, from]: readonly string[]): void {
  const { SETTINGS_FILE } = process.env;
  if (mode !== '--check' && mode !== '--store') throw new ConfigError(`unknown argument: ${mode}`);
  const text = from === '-' ? readFileSync(STDIN, 'utf8') : undefined;
  const config = loadConfig(
    text === undefined ? withSettingsFile(process.env, note) : withSettings(process.env, text),
  );
  if (mode === '--store' && text !== undefined && SETTINGS_FILE) storeSettings(SETTINGS_FILE, text);
  for (const warning of rangeWarnings(portNeeds(config))) note(warning);
  console.log(`configuration: ${configDigest(config)}`);
  console.log(`restart: ${restartDigest(config)}`);
  // Says too that this version takes the calls of another process (scripts/rollout.sh).
  console.log(`app: ${appDigest(config)}`);
}

/** For the operator, who sees it in the output of `make up`. */
function note(text: string): void {
  console.log(`note: ${text}`);
}

try {
  process.env.UV_THREADPOOL_SIZE ??= POOL_THREADS;
  if (process.argv.length > 2) {
    check(process.argv.slice(2));
    process.exit(0);
  }
  const notes: string[] = [];
  const config = loadAtStart(process.env, (text) => notes.push(text));
  const log = createLogger(config.LOG_LEVEL);
  for (const text of notes) log.warn(text);
  exitOnUncaughtError();
  const started = Promise.withResolvers<Daemon>();
  // From the beginning: without a listener the signal ends the process.
  const load = () => loadConfig(withSettingsFile(process.env, (text) => log.warn(text)));
  process.on('SIGHUP', () => void started.promise.then((daemon) => daemon.reload(load)));
  const daemon = await startDaemon(config, log, { media: openNursery() });
  started.resolve(daemon);
  daemon.followAsterisk(load);
  endWhenDue(daemon, log);
  lowerPriority();
} catch (error) {
  if (error instanceof ConfigError) {
    console.error(error.message);
    process.exit(EXIT_CONFIG);
  }
  throw error;
}
