import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestGc, parseMetrics } from './bridge.ts';
import { whyRefused } from './generator.ts';
import { readOptions } from './options.ts';
import { describeProfile, placeOf } from './profile.ts';
import { distribution } from './run.ts';
import { layOut, ms } from './table.ts';

const METRICS = (major: number, slow: number) => `# HELP x y
nodejs_gc_duration_seconds_bucket{le="0.001",kind="minor"} 4
nodejs_gc_duration_seconds_bucket{le="0.01",kind="minor"} 5
nodejs_gc_duration_seconds_bucket{le="+Inf",kind="minor"} 5
nodejs_gc_duration_seconds_sum{kind="minor"} 0.004
nodejs_gc_duration_seconds_count{kind="minor"} 5
nodejs_gc_duration_seconds_bucket{le="0.001",kind="major"} ${major - slow}
nodejs_gc_duration_seconds_bucket{le="0.01",kind="major"} ${major}
nodejs_gc_duration_seconds_bucket{le="+Inf",kind="major"} ${major}
nodejs_gc_duration_seconds_sum{kind="major"} 0.002
nodejs_gc_duration_seconds_count{kind="major"} ${major}
pipecat_bridge_pacer_skipped_frames 7
`;

test('the metrics of all kinds of collection are added up', () => {
  assert.deepEqual(parseMetrics(METRICS(1, 0)), {
    gcCount: 6,
    gcMs: 6,
    skippedFrames: 7,
    gcByLimitMs: { '1': 5, '10': 6, '+Inf': 6 },
  });
});

test('the longest collection is that of the window, not of the time before', () => {
  const before = parseMetrics(METRICS(1, 0));
  assert.equal(longestGc(before, before), 'none');
  assert.equal(longestGc(before, parseMetrics(METRICS(3, 0))), '≤ 1 ms');
  assert.equal(longestGc(before, parseMetrics(METRICS(3, 1))), '≤ 10 ms');
});

test('a generator that was late or whose core was full is not believed', () => {
  assert.equal(whyRefused({ n: 9, p99: 0.5, p999: 2 }, 60), undefined);
  assert.match(whyRefused({ n: 9, p99: 2.5, p999: 4 }, 60) ?? '', /sent late/);
  assert.match(whyRefused({ n: 9, p99: 0.5, p999: 12 }, 60) ?? '', /sent late/);
  assert.match(whyRefused({ n: 9, p99: 0.5, p999: 2 }, 97) ?? '', /core was full/);
});

test('options are read with either separator, and what is wrong is named', () => {
  assert.deepEqual(readOptions({ BENCH_CALLS: '1, 20 300' }).calls, [1, 20, 300]);
  assert.equal(readOptions({ BENCH_CALLS: '1 150 300' }).modeCalls, 150);
  assert.throws(() => readOptions({ BENCH_CALLS: '0' }), /BENCH_CALLS/);
  assert.throws(() => readOptions({ BENCH_MODES: 'shout' }), /BENCH_MODES/);
});

test('a distribution has the nearest ranks of its samples', () => {
  const samples = Array.from({ length: 101 }, (_, at) => 100 - at);
  assert.deepEqual(distribution(samples), { n: 101, p50: 50, p99: 99, p999: 99, max: 100 });
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
  const text = describeProfile(profile, [1100, 1500], 2);
  assert.match(text, /src\/media +75\.0 % +1\.500/);
  assert.match(text, /native code and the kernel +25\.0 % +0\.500/);
  assert.doesNotMatch(text, /idle/);
});

test('functions are placed by where their source lies', () => {
  const place = (url: string) => placeOf({ functionName: 'f', url });
  assert.equal(place('file:///app/bridge/node_modules/ws/lib/sender.js'), 'module ws');
  assert.equal(place('node:internal/streams/readable'), 'Node: streams/readable');
  assert.equal(place('file:///app/bridge/src/audio/pacer.ts'), 'src/audio/pacer');
});

test('columns line up', () => {
  assert.equal(layOut(['a', 'bb'], [['long', '1']]), 'a     bb\nlong   1');
  assert.equal(ms(undefined), '-');
  assert.equal(ms(9.96), '10.0');
  assert.equal(ms(12.3), '12');
});
