import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AT_ONCE, Clip, faster, LIVE } from './clip.ts';

function schedule(clip: Clip, chunks: number): [dueMs: number, samples: number][] {
  const all: [number, number][] = [];
  while (!clip.done && all.length < chunks) all.push([clip.dueMs, clip.take().length]);
  return all;
}

test('a live clip has one chunk of lead and a short last chunk', () => {
  const clip = new Clip(new Int16Array(8 * 130), 8000, LIVE);
  assert.deepEqual(schedule(clip, 10), [
    [0, 320],
    [0, 320],
    [40, 320],
    [80, 80],
  ]);
  assert.equal(clip.endMs, 130);
});

test('a clip at once is one message', () => {
  const clip = new Clip(new Int16Array(240_000), 8000, AT_ONCE);
  assert.deepEqual(schedule(clip, 10), [[0, 240_000]]);
  assert.equal(clip.endMs, 0);
});

test('a faster clip ends sooner', () => {
  const clip = new Clip(new Int16Array(8000), 8000, faster(4));
  assert.deepEqual(schedule(clip, 3).at(-1), [10, 320]);
  assert.equal(clip.endMs, 250);
});

test('1100 bytes on a grid of 40 ms go in gaps of 120 and 160 ms and never drift', () => {
  const clip = new Clip(new Int16Array(1100 * 100), 8000, { chunkMs: 137.5, intervalMs: 137.5, gridMs: 40 });
  const due = schedule(clip, 100).map(([dueMs]) => dueMs);
  const gaps = new Set(due.slice(2).map((dueMs, i) => dueMs - (due[i + 1] ?? 0)));
  assert.deepEqual([...gaps].sort(), [120, 160]);
  assert.equal(due.at(-1), Math.floor((98 * 137.5) / 40) * 40);
});

test('a looped clip goes on seamlessly across its end', () => {
  const clip = new Clip(
    Int16Array.from({ length: 500 }, (_, i) => i),
    8000,
    LIVE,
    true,
  );
  const samples = Array.from({ length: 5 }, () => [...clip.take()]).flat();
  assert.deepEqual(
    samples,
    Array.from({ length: 1600 }, (_, i) => i % 500),
  );
  assert.equal(clip.done, false);
});

test('an empty clip is done', () => {
  assert.equal(new Clip(new Int16Array(0), 8000, LIVE, true).done, true);
});
