import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { expiredRecordings, isRecordingName, type RecordingFile, type RetentionLimits } from './files.ts';

const SWEEP_MS = 60_000;
/** Interval of the checks while the disk is nearly full. */
const FULL_SWEEP_MS = 5_000;
const FAILURES_TOLD_MS = 600_000;
/** A disk with less free space counts as full: some minutes of a few calls. */
const FREE_MIN_BYTES = 50_000_000;

/** Directory of the recordings, limits, and callbacks. Limits are read at each check. */
export interface RetentionOptions extends RetentionLimits {
  readonly directory: string;
  /** The disk counts as full with less free space, bytes [50 MB]. */
  readonly freeMinBytes?: number;
  readonly onRemoved: (names: readonly string[]) => void;
  readonly onError: (error: Error) => void;
}

/**
 * Deletes recordings that are too old or too many, at the start and once per minute. It never
 * touches other files.
 */
export class Retention {
  /** Total size of the recordings at the last check, bytes. */
  storedBytes = 0;
  /** Why calls cannot be recorded, or soon cannot, at the last check. */
  problem: string | undefined;
  readonly #options: RetentionOptions;
  #failures = { total: 0, atMs: Number.NEGATIVE_INFINITY };
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.sweep(), SWEEP_MS).unref();
    void this.sweep();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Checks the recordings now, unless a check is running. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep()
      .then(async () => this.#setProblem(await this.#shortage()))
      .catch((error: Error) => {
        this.#setProblem(error.message);
        this.#options.onError(error);
      })
      .finally(() => {
        this.#sweeping = undefined;
      });
    return this.#sweeping;
  }

  /** A warning if recordings failed within the last ten minutes. `total`: failures so far. */
  recentFailures(total: number, nowMs: number): string | undefined {
    if (total > this.#failures.total) this.#failures = { total, atMs: nowMs };
    const isRecent = nowMs - this.#failures.atMs < FAILURES_TOLD_MS;
    return isRecent ? 'one has met an error or its limit within ten minutes' : undefined;
  }

  #setProblem(problem: string | undefined): void {
    if ((problem === undefined) !== (this.problem === undefined) && this.#timer !== undefined) {
      clearInterval(this.#timer);
      const everyMs = problem === undefined ? SWEEP_MS : FULL_SWEEP_MS;
      this.#timer = setInterval(() => this.sweep(), everyMs).unref();
    }
    this.problem = problem;
  }

  async #shortage(): Promise<string | undefined> {
    const { directory, freeMinBytes = FREE_MIN_BYTES } = this.#options;
    const disk = await statfs(directory).catch((error: NodeJS.ErrnoException) => {
      // Nothing was recorded yet.
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    const freeBytes = disk === undefined ? Number.POSITIVE_INFINITY : disk.bavail * disk.bsize;
    return freeBytes >= freeMinBytes ? undefined : `${Math.floor(freeBytes / 1e6)} MB are left on their disk`;
  }

  async #sweep(): Promise<void> {
    const { directory, onRemoved } = this.#options;
    const files = await list(directory);
    const expired = new Set(expiredRecordings(files, this.#options, Date.now()));
    for (const name of expired) await rm(join(directory, name), { force: true });
    const kept = files.filter(({ name }) => !expired.has(name));
    this.storedBytes = kept.reduce((sum, { bytes }) => sum + bytes, 0);
    if (expired.size > 0) onRemoved([...expired]);
  }
}

/** One file after the other: it is not urgent, and calls use the same disk. */
async function list(directory: string): Promise<RecordingFile[]> {
  const files: RecordingFile[] = [];
  for (const name of await readdir(directory).catch(absent)) {
    if (!isRecordingName(name)) continue;
    const found = await stat(join(directory, name)).catch(absent);
    if ('size' in found) files.push({ name, bytes: found.size, modifiedMs: found.mtimeMs });
  }
  return files;
}

/** Nothing was recorded yet, or the file was deleted meanwhile. */
function absent(error: NodeJS.ErrnoException): string[] {
  if (error.code !== 'ENOENT') throw error;
  return [];
}
