/** Starts processes on a core of their own, and reads what they use from /proc. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

/** Time from a polite end to a hard one. */
const STOP_MS = 5_000;
const OUTPUT_KEPT_CHARS = 4_000;

/** A child process bound to some cores. */
export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Rejects as soon as the process ends, with the end of what it said. */
  readonly died: Promise<never>;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts `command` on `cpus` (a list as taskset takes it). `died` shows its standard error in the
 * message.
 */
export function startPinned(
  cpus: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  directory?: string,
): Child {
  const child = spawn('taskset', ['--cpu-list', cpus, ...command], {
    cwd: directory,
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  let stopping = false;
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString()}`.slice(-OUTPUT_KEPT_CHARS);
  });
  const died = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (!stopping) reject(new Error(`${command.join(' ')} ended (${code ?? signal}): ${said.trim()}`));
    });
  });
  died.catch(() => {});
  const stop = async () => {
    stopping = true;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(limit);
  };
  return { process: child, pid: child.pid ?? 0, died, stop };
}

/** Arguments of a program: `--name value` for each of the options. */
export const argumentsOf = (options: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);

/** What processes have used so far. */
export interface Usage {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** Sums over the processes and all their threads; a process that is gone counts nothing. */
export function readUsage(pids: readonly number[]): Usage {
  let cpuNs = 0;
  let residentBytes = 0;
  for (const pid of pids) {
    try {
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        cpuNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
      }
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      residentBytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return { atMs: performance.now(), cpuMs: cpuNs / 1e6, residentBytes };
}

/** Ticks of all cores together: of the whole machine, not running, and taken by the hypervisor. */
export interface MachineTicks {
  readonly total: number;
  readonly idle: number;
  readonly steal: number;
}

/** Reads /proc/stat. */
export function readMachine(): MachineTicks {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  return { total, idle: (ticks[3] ?? 0) + (ticks[4] ?? 0), steal: ticks[7] ?? 0 };
}

/** Shares of the time between two readings, in %. */
export function machineShares(
  before: MachineTicks,
  after: MachineTicks,
): { busyPercent: number; stealPercent: number } {
  const total = Math.max(1, after.total - before.total);
  return {
    busyPercent: 100 * (1 - (after.idle - before.idle) / total),
    stealPercent: (100 * (after.steal - before.steal)) / total,
  };
}

/** Asterisk's process: it runs beside us, in the same process and network namespaces. */
export function findAsterisk(): number {
  const name = readdirSync('/proc').find((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/comm`, 'utf8').trim() === 'asterisk';
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
  if (name === undefined) throw new Error('no Asterisk in this process namespace');
  return Number(name);
}
