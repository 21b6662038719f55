import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/**
 * Shows which processes of the bridge live, to those that share a folder of records. Each holds an
 * exclusive lock of SQLite on a file of its own. The kernel releases it when the process ends,
 * however it ends. Synchronous: it must run in the thread of the records.
 */
export class ProcessLock {
  readonly #directory: string;
  readonly #process: string;
  readonly #file: DatabaseSync;
  /** Processes whose death was seen. */
  readonly #dead = new Set<string>();

  /** Takes the lock of `process`. Throws SQLite's errors, also if another process has it. */
  constructor(directory: string, process: string) {
    this.#directory = directory;
    this.#process = process;
    // Nobody else may read it. Closed before the lock is taken: a close releases it (fcntl(2)).
    closeSync(openSync(this.#path(process), 'a', 0o600));
    this.#file = new DatabaseSync(this.#path(process));
    try {
      this.#file.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** Whether another process lives. Deletes the file of one that is dead. */
  isAlive(process: string): boolean {
    if (process === this.#process) return true;
    const path = this.#path(process);
    if (process === '' || !existsSync(path)) return false;
    const file = new DatabaseSync(path);
    try {
      file.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE; ROLLBACK');
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
      // Its thread of the records had ended, and was started again: the process lives.
      this.#dead.delete(process);
      return true;
    } finally {
      file.close();
    }
    rmSync(path, { force: true });
    this.#dead.add(process);
    return false;
  }

  /** Whether a process that shared this folder is dead. False also if it is not known. */
  isDead(process: string): boolean {
    return !this.isAlive(process) && this.#dead.has(process);
  }

  /** Releases the lock, if it is held. */
  close(): void {
    if (!this.#file.isOpen) return;
    this.#file.close();
    rmSync(this.#path(this.#process), { force: true });
  }

  #path(process: string): string {
    return join(this.#directory, `process-${process}.lock`);
  }
}
