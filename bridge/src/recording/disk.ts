/** What the recordings of a thread have come to, since it started. */
export interface RecordingStats {
  /** Calls being recorded. */
  active: number;
  /** Written, headers aside. */
  bytes: number;
  /** Audio that is silence in its file instead: the disk did not keep up or refused it, or the file is full. */
  droppedMs: number;
  /** Recordings that met an error of the disk or a limit. */
  failures: number;
}

/**
 * The one way from a thread to the disk, one thing after the other: a disk that hangs holds up one thread of Node's pool and
 * not all of them, which the rest of the process needs.
 */
export class Disk {
  readonly stats: RecordingStats = { active: 0, bytes: 0, droppedMs: 0, failures: 0 };
  #last = Promise.resolve();

  /** Does `job` when all before it are done. Resolves when it is; it must not reject. */
  do(job: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(job);
    return this.#last;
  }
}
