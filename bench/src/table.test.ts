import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetrics, parseSteps } from './bridge.ts';
import { whyRefused } from './generator.ts';
import { readOptions, subjectCpus } from './options.ts';
import { describeProfiles, placeOf } from './profile.ts';
import { distribution, type RunResult } from './run.ts';
import { layOut, memoryLine, ms } from './table.ts';

const METRICS = `# HELP x y
nodejs_gc_duration_seconds_bucket{le="+Inf",kind="minor"} 5
nodejs_gc_duration_seconds_sum{kind="minor"} 0.004
nodejs_gc_duration_seconds_count{kind="minor"} 5
nodejs_gc_duration_seconds_sum{kind="major"} 0.002
nodejs_gc_duration_seconds_count{kind="major"} 1
pipecat_bridge_media_gc_pauses_total 40
pipecat_bridge_media_gc_pause_seconds_total 0.0315
pipecat_bridge_media_gc_longest_seconds 0.00225
pipecat_bridge_pacer_skipped_frames_total 7
`;

test('the metrics of all kinds of collection are added up, the media threads apart', () => {
  assert.deepEqual(parseMetrics(METRICS), {
    mediaGc: { count: 40, totalMs: 31.5, longestMs: 2.25 },
    controlGc: { count: 6, totalMs: 6 },
    skippedFrames: 7,
  });
});

test("the steps of set-up are collected from the bridge's log, and nothing else is read", () => {
  const log =
    '{"msg":"up"}\n{"msg":"call ended","stepsMs":{"bot":3,"joined":9}}\nloose {\n{"stepsMs":{"joined":11}}\n';
  assert.deepEqual(Object.fromEntries(parseSteps(log)), { bot: [3], joined: [9, 11] });
});

test('a generator that was late in most seconds, or whose core was full, is not believed', () => {
  const report = (soundSeconds: number) => ({
    seconds: 8,
    soundSeconds,
    latenessMs: { n: 9, p99: 3, max: 20 },
  });
  assert.equal(whyRefused(report(4), 60), undefined);
  assert.match(whyRefused(report(3), 60) ?? '', /late in 5 of 8 seconds \(p99 3.0 ms, at most 20.0 ms\)/);
  assert.match(whyRefused(report(8), 97) ?? '', /core was full/);
});

test('options are read with either separator, and what is wrong is named', () => {
  const { loads, modeLoad } = readOptions({ BENCH_CALLS: '1, 150 300x2' }, 2);
  const one = (calls: number, workers = 1) => ({ calls, workers });
  assert.deepEqual(loads, [one(1), one(150), one(300, 2)]);
  assert.deepEqual(modeLoad, one(150));
  for (const wrong of ['0', '5y', '5x', '5x0', '5x2x2'])
    assert.throws(() => readOptions({ BENCH_CALLS: wrong }, 2), /BENCH_CALLS/);
  assert.throws(() => readOptions({ BENCH_MODES: 'shout' }, 2), /BENCH_MODES/);
  assert.throws(() => readOptions({}, 1), /two cores/);
});

test('what is measured shares the core of the load generator only where there are too few', () => {
  assert.equal(subjectCpus({ calls: 1, workers: 1 }, 2), '1');
  assert.equal(subjectCpus({ calls: 1, workers: 2 }, 2), '0,1');
  assert.equal(subjectCpus({ calls: 1, workers: 2 }, 4), '1,2');
  assert.equal(subjectCpus({ calls: 1, workers: 9 }, 2), '0,1');
});

test('memory is given as the slope between numbers of calls', () => {
  const row = (subject: 'bridge' | 'bare relay', calls: number, residentBytes: number) =>
    ({ subject, calls, residentBytes, mode: 'echo', workers: 1 }) as RunResult;
  const rows = [
    row('bridge', 1, 60e6),
    row('bridge', 50, 80e6),
    row('bridge', 200, 101e6),
    row('bare relay', 50, 9e6),
  ];
  assert.match(memoryLine(rows), /bridge: 50 to 200: 140 kB; bare relay: $/);
  assert.equal(memoryLine(rows.slice(0, 2)), '');
});

test('a distribution has the nearest ranks of its samples', () => {
  const samples = Array.from({ length: 101 }, (_, at) => 100 - at);
  assert.deepEqual(distribution(samples), { n: 101, p50: 50, p95: 95, p99: 99, p999: 99, max: 100 });
  assert.deepEqual(distribution([]), { n: 0 });
});

test('a profile is summed up within the window, idle time left out', () => {
  const frame = (id: number, functionName: string, url: string) => ({ id, callFrame: { functionName, url } });
  const profile = {
    nodes: [
      frame(1, '(idle)', ''),
      frame(2, 'tick', 'file:///app/bridge/src/media.ts'),
      frame(3, '(program)', ''),
    ],
    startTime: 1000,
    samples: [2, 1, 2, 3, 2],
    timeDeltas: [0, 100, 100, 300, 100],
  };
  const text = describeProfiles([profile, profile], [1100, 1500], 2);
  assert.match(text, /src\/media +75\.0 % +1\.500/);
  assert.match(text, /runtime, and kernel: TCP receive, wait +25\.0 % +0\.500/);
  assert.doesNotMatch(text, /idle/);
});

test('functions are placed by where their source lies', () => {
  const place = (url: string) => placeOf({ functionName: 'f', url });
  assert.equal(place('file:///app/bridge/node_modules/ws/lib/sender.js'), 'module ws');
  assert.equal(placeOf({ functionName: 'writeBuffer', url: '' }), 'kernel: TCP send');
  const datagrams = 'file:///app/bridge/src/rtp/datagrams.ts';
  assert.equal(placeOf({ functionName: 'send', url: datagrams }), 'kernel: UDP send');
  assert.equal(placeOf({ functionName: 'add', url: datagrams }), 'src/rtp/datagrams');
  assert.equal(place('node:internal/streams/readable'), 'Node: streams/readable');
  assert.equal(place('file:///app/bridge/src/audio/pacer.ts'), 'src/audio/pacer');
});

test('columns line up', () => {
  assert.equal(layOut(['a', 'bb'], [['long', '1']]), 'a     bb\nlong   1');
  assert.equal(ms(undefined), '-');
  assert.equal(ms(9.96), '10.0');
  assert.equal(ms(12.3), '12');
});
