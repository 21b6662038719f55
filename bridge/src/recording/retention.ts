import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { expiredRecordings, isRecordingName, type RecordingFile, type RetentionLimits } from './files.ts';

const SWEEP_MS = 60_000;
/** While recordings are looked at often: the disk was nearly full. */
const FULL_SWEEP_MS = 5_000;
const FAILURES_TOLD_MS = 600_000;
/** What is left on a full disk: some minutes of a few calls. */
const FREE_MIN_BYTES = 50_000_000;

/** Where recordings are, what is kept of them, and who is told of it. */
export interface RetentionOptions extends RetentionLimits {
  readonly directory: string;
  /** With less left on its disk it counts as full, bytes [50 MB]. */
  readonly freeMinBytes?: number;
  readonly onRemoved: (names: readonly string[]) => void;
  readonly onError: (error: Error) => void;
}

/** Removes recordings that are too old or too many: at the start and once a minute. It touches no other files. */
export class Retention {
  /** Recordings that there were at the last look, bytes. */
  storedBytes = 0;
  /** What keeps calls from being recorded, or soon will, at the last look. */
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

  /** Looks through the recordings now, unless it does so already. Never rejects. */
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

  /** What to say of recordings that have failed, `total` of them by now, in the last ten minutes that this was asked. */
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

/** One after the other: nobody waits for it, and calls share the disk. */
async function list(directory: string): Promise<RecordingFile[]> {
  const files: RecordingFile[] = [];
  for (const name of await readdir(directory).catch(absent)) {
    if (!isRecordingName(name)) continue;
    const found = await stat(join(directory, name)).catch(absent);
    if ('size' in found) files.push({ name, bytes: found.size, modifiedMs: found.mtimeMs });
  }
  return files;
}

/** Nothing was recorded yet, or somebody removed it meanwhile. */
function absent(error: NodeJS.ErrnoException): string[] {
  if (error.code !== 'ENOENT') throw error;
  return [];
}
