import type { MediaEvent } from '../media/session.ts';
import type { CallInfo, RecordingMode } from './info.ts';

type RecordingEvent = Extract<MediaEvent, { type: 'recording' }>;

/** Who is told of a recording. */
export interface RecordingHooks {
  readonly changed: () => void;
  /** The channel is to keep it too: whoever goes on with the call does not record what was not to be. */
  readonly keep: (mode: RecordingMode) => void;
}

/** What is known of a call's recording: its files, those of a process before too, and whether the bot has paused it. */
export class RecordingLog {
  readonly #files: string[];
  #isPaused: boolean | undefined;
  /** What the channel's `X_RECORD`, or its provider, says. */
  #mode: RecordingMode;

  readonly #hooks: RecordingHooks;

  constructor({ adopted, recording }: Pick<CallInfo, 'adopted' | 'recording'>, hooks: RecordingHooks) {
    this.#hooks = hooks;
    this.#files = [...(adopted?.recordingFiles ?? [])];
    this.#mode = recording;
  }

  /** Names below RECORDINGS_DIR, oldest first. */
  get files(): readonly string[] {
    return this.#files;
  }

  /** Undefined where the call is not recorded. */
  get isPaused(): boolean | undefined {
    return this.#isPaused;
  }

  /** The recorder tells of its file, or that it is paused or not. */
  note({ state, file, isPaused }: RecordingEvent): void {
    const isNewFile = state !== 'failed' && !this.#files.includes(file);
    if (isNewFile) this.#files.push(file);
    const isNew = isNewFile || isPaused !== this.#isPaused;
    this.#isPaused = isPaused;
    if (isNew) this.#hooks.changed();
    const mode = isPaused ? 'paused' : 'on';
    if (mode !== this.#mode) this.#hooks.keep(mode);
    this.#mode = mode;
  }
}
