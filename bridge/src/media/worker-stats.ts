import type { WorkerStats } from './worker-messages.ts';

/**
 * Adds the last counters of a dead worker to those of the workers that died before it. Gauges are
 * 0: a dead worker holds nothing.
 */
export function retired(last: WorkerStats, before: WorkerStats | undefined): WorkerStats {
  const held = { recording: { ...last.recording, active: 0 }, heapBytes: 0 };
  if (before === undefined) return { ...last, ...held };
  return {
    pacer: {
      ticks: before.pacer.ticks + last.pacer.ticks,
      lateTicks: before.pacer.lateTicks + last.pacer.lateTicks,
      skippedFrames: before.pacer.skippedFrames + last.pacer.skippedFrames,
      worstLatenessMs: Math.max(before.pacer.worstLatenessMs, last.pacer.worstLatenessMs),
    },
    recording: {
      active: 0,
      bytes: before.recording.bytes + last.recording.bytes,
      droppedMs: before.recording.droppedMs + last.recording.droppedMs,
      failures: before.recording.failures + last.recording.failures,
    },
    datagramsRefused: before.datagramsRefused + last.datagramsRefused,
    collections: {
      count: before.collections.count + last.collections.count,
      totalMs: before.collections.totalMs + last.collections.totalMs,
      longestMs: Math.max(before.collections.longestMs, last.collections.longestMs),
    },
    heapBytes: 0,
  };
}
