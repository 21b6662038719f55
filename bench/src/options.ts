/** What a run of the bench is asked to do: from the environment, with defaults. */
import { cpus } from 'node:os';
import type { Mode } from './generator.ts';

/** Options of the relay bench. */
export interface Options {
  /** Numbers of calls, one after another. */
  readonly calls: readonly number[];
  /** Length of each window. */
  readonly seconds: number;
  /** Ways of speaking beside echo, each at `modeCalls` calls. */
  readonly modes: readonly Mode[];
  readonly modeCalls: number;
  /** New calls a second. */
  readonly rate: number;
  /** Core of the load generator, and cores of what is measured, as taskset takes them. */
  readonly loadCpus: string;
  readonly subjectCpus: string;
  readonly profile: boolean;
}

const MODES: readonly Mode[] = ['echo', 'burst', 'fast', 'steps'];

/** Reads the environment. Throws an Error that names what is wrong. */
export function readOptions(environment: Readonly<Record<string, string | undefined>>): Options {
  const words = (name: string, fallback: string) =>
    (environment[name] || fallback).split(/[\s,]+/).filter(Boolean);
  const calls = words('BENCH_CALLS', '1 50 200 500 800').map((word) => integer('BENCH_CALLS', word, 1, 2000));
  const modes = words('BENCH_MODES', 'burst fast steps') as Mode[];
  for (const mode of modes)
    if (!MODES.includes(mode)) throw new Error(`BENCH_MODES: one of ${MODES.join(', ')}`);
  // Of the machine: we are bound to one of them.
  const cores = cpus().length;
  if (cores < 2)
    throw new Error('the relay bench needs two cores: one for the load, one for what is measured');
  return {
    calls,
    seconds: integer('BENCH_SECONDS', environment.BENCH_SECONDS || '8', 1, 600),
    modes,
    modeCalls: calls.filter((count) => count <= 200).at(-1) ?? 200,
    rate: integer('BENCH_RATE', environment.BENCH_RATE || '100', 1, 1000),
    loadCpus: '0',
    subjectCpus: environment.BENCH_CPUS || '1',
    profile: environment.BENCH_PROFILE === '1',
  };
}

function integer(name: string, word: string, min: number, max: number): number {
  const value = Number(word);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Error(`${name}: whole numbers from ${min} to ${max}`);
  return value;
}
