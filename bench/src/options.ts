/** What a run of the bench is asked to do: from the environment, with defaults. */
import { cpus } from 'node:os';
import type { Mode } from './generator.ts';

/** One row of the relay bench: the number of calls, and of media workers with a core each. */
export interface Load {
  readonly calls: number;
  readonly workers: number;
}

/** Options of the relay bench. */
export interface Options {
  /** One after another. */
  readonly loads: readonly Load[];
  /** Length of each window. */
  readonly seconds: number;
  /** Ways of speaking beside echo, each under `modeLoad`. */
  readonly modes: readonly Mode[];
  readonly modeLoad: Load;
  /** New calls a second, and for how long, in the run that is about set-up alone. */
  readonly arrivalRate: number;
  readonly arrivalSeconds: number;
  /** What does not fit into this time is left out. */
  readonly limitSeconds: number;
  /** Cores of the machine. */
  readonly cores: number;
  readonly profile: boolean;
}

const MODES: readonly Mode[] = ['echo', 'burst', 'fast', 'steps'];
const MODE_CALLS = 200;

/**
 * Reads the environment. Throws an Error that names what is wrong. `cores`: of the machine,
 * although this process runs on one.
 */
export function readOptions(
  environment: Readonly<Record<string, string | undefined>>,
  cores = cpus().length,
): Options {
  const words = (name: string, fallback: string) =>
    (environment[name] || fallback).split(/[\s,]+/).filter(Boolean);
  const loads = words('BENCH_CALLS', '1 50 200 400 500 800x2').map(readLoad);
  const modes = words('BENCH_MODES', 'burst fast steps').filter((word) => word !== 'none') as Mode[];
  for (const mode of modes)
    if (!MODES.includes(mode)) throw new Error(`BENCH_MODES: one of ${MODES.join(', ')}`);
  if (cores < 2)
    throw new Error('the relay bench needs two cores: one for the load, one for what is measured');
  const number = (name: string, fallback: number, max: number) =>
    integer(name, environment[name] || String(fallback), 1, max);
  return {
    loads,
    modes,
    cores,
    seconds: number('BENCH_SECONDS', 4, 600),
    modeLoad: loads.filter(({ calls }) => calls <= MODE_CALLS).at(-1) ?? { calls: MODE_CALLS, workers: 1 },
    arrivalRate: number('BENCH_ARRIVAL_RATE', 50, 200),
    arrivalSeconds: number('BENCH_ARRIVAL_SECONDS', 10, 30),
    limitSeconds: number('BENCH_LIMIT_SECONDS', 205, 3600),
    profile: environment.BENCH_PROFILE === '1',
  };
}

/** The load generator's core. */
export const LOAD_CPUS = '0';

/**
 * Cores of what is measured, as taskset takes them: not the load generator's, unless the machine
 * has too few.
 */
export function subjectCpus({ workers }: Load, cores: number): string {
  const first = workers < cores ? 1 : 0;
  return Array.from({ length: Math.min(workers, cores) }, (_, at) => first + at).join(',');
}

/** `200`, or `800x2`: over two media workers. */
function readLoad(word: string): Load {
  const [calls = '', workers = '1', ...rest] = word.split('x');
  if (rest.length > 0) throw new Error(`BENCH_CALLS: ${word} is not CALLS or CALLSxWORKERS`);
  return {
    calls: integer('BENCH_CALLS', calls, 1, 2000),
    workers: integer('BENCH_CALLS', workers, 1, 64),
  };
}

function integer(name: string, word: string, min: number, max: number): number {
  const value = Number(word);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Error(`${name}: whole numbers from ${min} to ${max}`);
  return value;
}
