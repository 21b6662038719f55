const NAME = /^\d{8}T\d{6}Z-[0-9a-f]{16}\.wav$/;

/** A recording on the disk. */
export interface RecordingFile {
  readonly name: string;
  readonly bytes: number;
  /** Time of the last write, Unix time, ms. */
  readonly modifiedMs: number;
}

/** Limits of the recordings that are kept; 0: no limit. */
export interface RetentionLimits {
  readonly maxTotalBytes: number;
  readonly maxAgeMs: number;
}

/** A file written within this time may belong to a call in progress. */
const LIVE_MS = 60_000;

/**
 * The name of a recording that begins now: the time, UTC, and 16 hexadecimal digits that must be
 * random. It contains no number and no call id, since these come from outside. The call record
 * names the file.
 */
export function recordingName(now: Date, digits: string): string {
  return `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z-${digits}.wav`;
}

/** Whether a file with this name is a recording. */
export function isRecordingName(name: string): boolean {
  return NAME.test(name);
}

/** The recordings to delete: those too old, and then the oldest while the total is too large. */
export function expiredRecordings(
  files: readonly RecordingFile[],
  limits: RetentionLimits,
  nowMs: number,
): string[] {
  const { maxTotalBytes, maxAgeMs } = limits;
  let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const expired: string[] = [];
  for (const { name, bytes, modifiedMs } of files.toSorted((a, b) => a.modifiedMs - b.modifiedMs)) {
    const ageMs = nowMs - modifiedMs;
    const isTooOld = maxAgeMs > 0 && ageMs > maxAgeMs;
    const isTooMuch = maxTotalBytes > 0 && total > maxTotalBytes;
    if (ageMs < LIVE_MS || !(isTooOld || isTooMuch)) continue;
    total -= bytes;
    expired.push(name);
  }
  return expired;
}
