/** Totals of the recordings of a thread, since it started. */
export interface RecordingStats {
  /** Calls being recorded. */
  active: number;
  /** Bytes written, without headers. */
  bytes: number;
  /**
   * Audio replaced by silence in its file, ms: the disk was too slow or failed, or the file was
   * full.
   */
  droppedMs: number;
  /** Recordings that met a disk error or a limit. */
  failures: number;
}

/**
 * Runs the disk operations of a thread one after the other. So a disk that hangs blocks one thread
 * of Node's pool and not all of them, which the rest of the process needs.
 */
export class Disk {
  readonly stats: RecordingStats = { active: 0, bytes: 0, droppedMs: 0, failures: 0 };
  #last = Promise.resolve();

  /** Runs `job` after all earlier ones. Resolves when it is done. `job` must not reject. */
  do(job: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(job);
    return this.#last;
  }
}
