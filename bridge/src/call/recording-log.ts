import type { RecordingMode } from '../config/media-settings.ts';
import type { MediaEvent } from '../media/session.ts';
import type { CallInfo } from './info.ts';

type RecordingEvent = Extract<MediaEvent, { type: 'recording' }>;

/** Where changes of a recording are reported. */
export interface RecordingHooks {
  readonly changed: () => void;
  /**
   * Stores the mode on the channel too, so that a process that adopts the call does not record
   * against it.
   */
  readonly storeMode: (mode: RecordingMode) => void;
}

/**
 * State of a call's recording: its files, also those of previous processes, and whether it is
 * paused.
 */
export class RecordingLog {
  readonly #files: string[];
  #state: RecordingMode = 'off';
  /** The channel's `X_RECORD`, or the provider's setting. */
  #mode: RecordingMode;

  readonly #hooks: RecordingHooks;

  constructor({ adopted, recording }: Pick<CallInfo, 'adopted' | 'recording'>, hooks: RecordingHooks) {
    this.#hooks = hooks;
    this.#files = [...(adopted?.recordingFiles ?? [])];
    this.#mode = recording;
  }

  /** File names relative to RECORDINGS_DIR, oldest first. */
  get files(): readonly string[] {
    return this.#files;
  }

  /** Whether the call is recorded. It can be paused. */
  get state(): RecordingMode {
    return this.#state;
  }

  /** The recorder reports a file, a pause or a resumption. */
  note({ state, file, isPaused }: RecordingEvent): void {
    const isNewFile = state !== 'failed' && !this.#files.includes(file);
    if (isNewFile) this.#files.push(file);
    const mode = isPaused ? 'paused' : 'on';
    const isNew = isNewFile || mode !== this.#state;
    this.#state = mode;
    if (isNew) this.#hooks.changed();
    if (mode !== this.#mode) this.#hooks.storeMode(mode);
    this.#mode = mode;
  }
}
