// Limit of pending marks. A bot sends a few per sentence.
const MAX_MARKS = 1000;

interface Mark {
  name: string;
  /** Fires when this many bytes since the start were played or cleared. */
  dueBytes: number;
  /** Audio before it was refused, so it is not fully played when the mark fires. */
  isIncomplete: boolean;
}

/**
 * The marks of a playout queue: names that a bot sets between its audio. A mark fires when all
 * audio before it was played or cleared. `consumedBytes` is the audio that was played or cleared
 * since the start, `queuedBytes` the audio that waits.
 */
export class PlayoutMarks {
  readonly #onMark: (name: string, cleared: boolean) => void;
  readonly #marks: Mark[] = [];
  /** Length of the list. The queue asks for it in each frame: this saves the way to the list. */
  #pending = 0;
  /** Audio was refused since the last mark was set. */
  #isIncomplete = false;

  /** `onMark` may write to the queue, clear it or set marks. */
  constructor(onMark: (name: string, cleared: boolean) => void) {
    this.#onMark = onMark;
  }

  /** Marks that have not fired. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Sets a mark after the queued audio. With nothing queued it fires at once. It fires as cleared
   * if audio since the last mark was refused. Returns false if too many marks are pending.
   */
  set(name: string, consumedBytes: number, queuedBytes: number): boolean {
    if (queuedBytes > 0 && this.#pending === MAX_MARKS) return false;
    const isIncomplete = this.#isIncomplete;
    this.#isIncomplete = false;
    if (queuedBytes === 0) this.#onMark(name, isIncomplete);
    else this.#pending = this.#marks.push({ name, dueBytes: consumedBytes + queuedBytes, isIncomplete });
    return true;
  }

  /** Audio for the end of the queue was refused. The next mark will be incomplete. */
  audioRefused(): void {
    this.#isIncomplete = true;
  }

  /** All queued audio was cleared: its marks fire as cleared. */
  audioCleared(consumedBytes: number): void {
    this.#isIncomplete = false;
    this.fire(consumedBytes, true);
  }

  /** Audio at the end of the queue was cut: marks after it move to the new end. */
  audioTrimmed(consumedBytes: number, queuedBytes: number): void {
    const lastDue = consumedBytes + queuedBytes;
    for (const mark of this.#marks) mark.dueBytes = Math.min(mark.dueBytes, lastDue);
    this.fire(consumedBytes, false);
  }

  /** Fires the marks that are due. */
  fire(consumedBytes: number, cleared: boolean): void {
    // The callback may set or clear marks, so read the list again each time.
    for (
      let mark = this.#marks[0];
      mark !== undefined && mark.dueBytes <= consumedBytes;
      mark = this.#marks[0]
    ) {
      this.#marks.shift();
      this.#pending = this.#marks.length;
      this.#onMark(mark.name, cleared || mark.isIncomplete);
    }
  }
}
