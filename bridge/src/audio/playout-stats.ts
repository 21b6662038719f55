/** Counters of one queue. `offeredBytes` = played + cleared + refused + trimmed + still queued. */
export interface PlayoutStats {
  offeredBytes: number;
  playedBytes: number;
  clearedBytes: number;
  /** Refused because the queue was full. */
  overflowBytes: number;
  /** Refused because the queue was draining. */
  afterDrainBytes: number;
  /** Silence cut: at the end of a drain, and to make up for skipped frames. */
  trimmedBytes: number;
  audioFrames: number;
  silenceFrames: number;
  /** Frames of silence sent while the queue was paused. Also counted in `silenceFrames`. */
  pausedFrames: number;
  /** Times that the queue ran dry within an utterance. */
  underruns: number;
  /** Longest silence in an underrun, ms. */
  longestGapMs: number;
  /** Most audio ever queued, ms. */
  highWaterMs: number;
}

/** Counters of a queue that nothing was written to or read from. */
export function noPlayoutStats(): PlayoutStats {
  return {
    offeredBytes: 0,
    playedBytes: 0,
    clearedBytes: 0,
    overflowBytes: 0,
    afterDrainBytes: 0,
    trimmedBytes: 0,
    audioFrames: 0,
    silenceFrames: 0,
    pausedFrames: 0,
    underruns: 0,
    longestGapMs: 0,
    highWaterMs: 0,
  };
}
