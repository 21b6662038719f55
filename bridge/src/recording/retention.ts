import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expiredRecordings, isRecordingName, type RecordingFile, type RetentionLimits } from './files.ts';

const SWEEP_MS = 60_000;

/** Where recordings are, what is kept of them, and who is told of it. */
export interface RetentionOptions extends RetentionLimits {
  readonly directory: string;
  readonly onRemoved: (names: readonly string[]) => void;
  readonly onError: (error: Error) => void;
}

/** Removes recordings that are too old or too many: at the start and once a minute. It touches no other files. */
export class Retention {
  /** Recordings that there were at the last look, bytes. */
  storedBytes = 0;
  readonly #options: RetentionOptions;
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
  }

  /** Looks through the recordings now, unless it does so already. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep()
      .catch((error: Error) => this.#options.onError(error))
      .finally(() => {
        this.#sweeping = undefined;
      });
    return this.#sweeping;
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
