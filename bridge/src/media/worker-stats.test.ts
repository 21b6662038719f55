import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerStats } from './worker-messages.ts';
import { retired } from './worker-stats.ts';

const LAST: WorkerStats = {
  pacer: { ticks: 9, lateTicks: 1, skippedFrames: 2, worstLatenessMs: 30 },
  recording: { active: 1, bytes: 320, droppedMs: 1_500, failures: 1 },
  datagramsRefused: 3,
  collections: { count: 4, totalMs: 20, longestMs: 8 },
  heapBytes: 1_000,
};

test('the counts of dead workers stay, what they held does not', () => {
  const once = retired(LAST, undefined);
  assert.deepEqual(once, { ...LAST, recording: { ...LAST.recording, active: 0 }, heapBytes: 0 });
  assert.deepEqual(retired(LAST, once), {
    pacer: { ticks: 18, lateTicks: 2, skippedFrames: 4, worstLatenessMs: 30 },
    recording: { active: 0, bytes: 640, droppedMs: 3_000, failures: 2 },
    datagramsRefused: 6,
    collections: { count: 8, totalMs: 40, longestMs: 8 },
    heapBytes: 0,
  });
});
