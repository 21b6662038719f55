import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { WorkerStats } from '../media/worker-messages.ts';
import { Metrics } from './metrics.ts';

const STATS: WorkerStats = {
  pacer: { ticks: 9, lateTicks: 1, skippedFrames: 2, worstLatenessMs: 30 },
  recording: { active: 1, bytes: 320, droppedMs: 1_500, failures: 1 },
  datagramsRefused: 3,
  collections: { count: 4, totalMs: 20, longestMs: 8 },
  heapBytes: 1_000,
};

const MISSING = 'promtool is not installed (Debian: package promtool, or prometheus)';

function sample(): Metrics {
  const metrics = new Metrics({
    callsActive: () => 1,
    predecessors: () => 0,
    media: () =>
      ({
        usage: { bots: 1, rtpPorts: 1 },
        deaths: 1,
        stats: [STATS, STATS],
        botAccess: { problems: [], waiting: 0, stats: { failedTries: 2, outages: 1 } },
      }) as never,
    ariUp: () => true,
    overdue: () => ({ count: () => 1, total: { call: 1, channel: 2, task: 3 } }) as never,
    recordingsStoredBytes: () => 5,
    gateClosed: () => false,
    callbacks: () =>
      ({ stats: { delivered: 1, failed: 2, dropped: 3, failedTries: 4 }, pending: 5 }) as never,
    records: () => ({ problem: undefined, stats: { written: 6, dropped: 7 }, waiting: 8 }) as never,
    takeovers: () => ({ lost: 1, regained: 1 }),
    eventStreams: () => ({ listeners: 1, dropped: 2 }),
  });
  const figures = {
    line: { packetsReceived: 1 },
    playout: { underruns: 2 },
    droppedMessages: 0,
    botPauses: 0,
    botPausedMs: 0,
    refusedMessages: { 'bad-json': 1 },
  };
  const ended = { reason: { kind: 'caller-hangup' }, treatment: { by: 'caller' }, stepsMs: { joined: 40 } };
  metrics.callEnded({ ...ended, figures } as never, 'inbound');
  metrics.callRefused('at-capacity');
  metrics.dialFailed('busy');
  metrics.forwardRefused();
  metrics.transferEnded('failed', 'busy');
  metrics.unauthorized('api');
  return metrics;
}

test('the alert rules are valid, and each asks for a metric that there is', async (t) => {
  const rules = new URL('../../../docs/alerts.yaml', import.meta.url).pathname;
  const text = await sample().registry.metrics();
  const asked = [...readFileSync(rules, 'utf8').matchAll(/pipecat_bridge_\w+/g)].map(([name]) => name);
  assert.ok(asked.length > 0);
  for (const name of asked) assert.ok(text.includes(`# TYPE ${name} `), name);
  const { error, status, stderr } = spawnSync('promtool', ['check', 'rules', rules], { encoding: 'utf8' });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return t.skip(MISSING);
  assert.deepEqual([error, status, stderr], [undefined, 0, '']);
});

test('promtool finds no fault in names, types and units of /metrics', async (t) => {
  const input = await sample().registry.metrics();
  const { error, status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input,
    encoding: 'utf8',
  });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return t.skip(MISSING);
  assert.deepEqual([error, status, stdout, stderr], [undefined, 0, '', '']);
});

test('counts of the workers are counters, in seconds where they are times', async () => {
  const text = await sample().registry.metrics();
  for (const line of [
    '# TYPE pipecat_bridge_recordings_dropped_seconds_total counter',
    'pipecat_bridge_recordings_dropped_seconds_total 3',
    '# TYPE pipecat_bridge_media_gc_pause_seconds_total counter',
    'pipecat_bridge_media_gc_pause_seconds_total 0.04',
    '# TYPE pipecat_bridge_pacer_worst_lateness_seconds gauge',
    'pipecat_bridge_pacer_worst_lateness_seconds 0.03',
    '# TYPE pipecat_bridge_callbacks_failed_total counter',
    'pipecat_bridge_callbacks_failed_total 2',
  ])
    assert.ok(text.split('\n').includes(line), line);
});

test('a counter is the same at each scrape, not added up', async () => {
  const metrics = sample();
  await metrics.registry.metrics();
  assert.match(await metrics.registry.metrics(), /^pipecat_bridge_records_written_total 6$/m);
});
