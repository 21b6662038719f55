/** Slopes, and silence. Pure. */
import type { Datagram } from '../sipp/pcap.ts';

/** A value at a time, ms. */
export interface Sample {
  readonly atMs: number;
  readonly value: number;
}

const MINUTE_MS = 60_000;

/** How much a value grows in a minute, by least squares. Undefined for less than two samples. */
export function slopePerMinute(samples: readonly Sample[]): number | undefined {
  if (samples.length < 2) return undefined;
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanAt = mean(samples.map(({ atMs }) => atMs));
  const meanValue = mean(samples.map(({ value }) => value));
  let above = 0;
  let below = 0;
  for (const { atMs, value } of samples) {
    above += (atMs - meanAt) * (value - meanValue);
    below += (atMs - meanAt) ** 2;
  }
  return below === 0 ? undefined : (above / below) * MINUTE_MS;
}

const HEADER_BYTES = 12;
/** Bytes of mu-law that are nearly silence: the sign, and the two least steps. */
const isQuiet = (byte: number) => (byte & 0x7f) >= 0x7d;

/**
 * The longest time without sound in the RTP that came, from the first sound to the last packet, ms.
 * Undefined if there was no sound.
 */
export function longestSilenceMs(datagrams: readonly Datagram[]): number | undefined {
  let heardAtMs: number | undefined;
  let longest = 0;
  for (const { timeMs, payload } of datagrams) {
    const isSound = payload.subarray(HEADER_BYTES).some((byte) => !isQuiet(byte));
    if (heardAtMs !== undefined) longest = Math.max(longest, timeMs - heardAtMs);
    if (isSound) heardAtMs = timeMs;
  }
  return heardAtMs === undefined ? undefined : longest;
}
