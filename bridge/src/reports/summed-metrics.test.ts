import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Registry } from 'prom-client';
import { type ProcessMetrics, SummedMetrics } from './summed-metrics.ts';

/** The registry of a process that counted some calls, and has one. */
function registry(ended: number): Registry {
  const made = new Registry();
  const about = { help: 'of the test', registers: [made] };
  new Counter({ name: 'pipecat_bridge_calls_ended_total', ...about }).inc(ended);
  new Gauge({ name: 'pipecat_bridge_calls_active', ...about }).set(1);
  new Gauge({ name: 'pipecat_bridge_ari_up', aggregator: 'first', ...about }).set(ended);
  new Counter({ name: 'process_cpu_seconds_total', ...about }).inc(ended);
  return made;
}

const told = async (ended: number) => await new SummedMetrics(registry(ended)).forSuccessor();

const NAMES = [
  'pipecat_bridge_calls_ended_total',
  'pipecat_bridge_calls_active',
  'pipecat_bridge_ari_up',
  'process_cpu_seconds_total',
];

async function values(
  metrics: SummedMetrics,
  others: Record<string, ProcessMetrics> = {},
): Promise<number[]> {
  const lines = (await metrics.text(new Map(Object.entries(others)))).split('\n');
  return NAMES.map((name) => Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1]));
}

test('counters and numbers are added up; what concerns one process is of this one', async () => {
  const metrics = new SummedMetrics(registry(3));
  assert.deepEqual(await values(metrics), [3, 1, 3, 3]);
  assert.deepEqual(await values(metrics, { a: await told(5), b: await told(7) }), [15, 3, 3, 3]);
});

test('the counters of a process stay when it has ended', async () => {
  const metrics = new SummedMetrics(registry(3));
  metrics.retain('old', await told(5));
  assert.deepEqual(await values(metrics), [8, 1, 3, 3]);
  const next = new SummedMetrics(registry(1));
  assert.deepEqual(await values(next, { this: await metrics.forSuccessor() }), [9, 2, 1, 1]);
});

test('they count once if it ends while it is asked, or has not ended', async () => {
  const metrics = new SummedMetrics(registry(3));
  metrics.retain('old', await told(5));
  assert.deepEqual(await values(metrics, { old: await told(6) }), [9, 2, 3, 3]);
  assert.equal(metrics.revive('old').length, 1);
  assert.deepEqual(await values(metrics), [3, 1, 3, 3]);
});
