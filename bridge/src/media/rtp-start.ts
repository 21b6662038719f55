import { FRAME_MS } from '../audio/format.ts';

/** The first sequence number and timestamp of an RTP stream. */
export interface RtpStart {
  readonly sequenceNumber: number;
  readonly timestamp: number;
}

/**
 * Where a line's stream begins, by a clock that goes on over workers and processes. Media that is
 * opened anew for a call must not be behind the media before it: where Asterisk 22 translates
 * between two codecs, it drops packets whose sequence number is behind, for up to 11 minutes. RFC
 * 3550 (section 5.1) wants random values against attacks on encryption. This line has none.
 */
export function rtpStart(nowMs: number, sampleRate: number): RtpStart {
  return {
    sequenceNumber: Math.floor(nowMs / FRAME_MS) % 2 ** 16,
    timestamp: Math.floor((nowMs * sampleRate) / 1000) % 2 ** 32,
  };
}

/** ms since the host's start: the same clock in all its processes. */
export function hostClockMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
