import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Disk } from './disk.ts';
import { StereoTrack, type StereoTrackOptions } from './stereo-track.ts';
import { WAV_FRAME_BYTES, WAV_HEADER_BYTES, wavHeader } from './wav.ts';

/** How one call is recorded. Plain data: it crosses to a worker thread. */
export interface RecordingSettings {
  /** Path of the file; it must not exist. */
  readonly path: string;
  /** Nothing is recorded until the first `resume`. */
  readonly paused: boolean;
  /** The file grows no larger. */
  readonly maxBytes: number;
}

/** What a recording is doing: `failed` while the disk does not take it (it goes on trying), or when the file is full. */
export type RecordingState = 'on' | 'paused' | 'failed';

/** What became of one call's recording. */
export interface RecordingFigures {
  readonly state: RecordingState;
  readonly lengthMs: number;
  /** Of this, silence in place of audio that could not be written. */
  readonly droppedMs: number;
}

/** Blocks of a second that may wait for the disk; of more, the newest is dropped. */
const BACKLOG_BLOCKS = 8;
/** The end of a call waits so long for the disk. */
const CLOSE_MS = 1_000;

/**
 * One call's file, written as the call goes: a second at a time, and the header again with it, so that a process killed at any
 * moment leaves a file that plays. Nothing here ever waits or throws on the packet path.
 */
export class Recorder {
  readonly #settings: RecordingSettings;
  readonly #sampleRate: number;
  readonly #disk: Disk;
  readonly #onState: (state: RecordingState, detail: string | undefined, isPaused: boolean) => void;
  readonly #track: StereoTrack;
  #handle: FileHandle | undefined;
  #waiting = 0;
  /** Of samples; -1: not even a header. */
  #writtenBytes = -1;
  #droppedMs = 0;
  #failing = false;
  #full = false;
  #told: RecordingState | undefined;
  #toldPaused = false;
  #hasFailed = false;
  #closing: Promise<void> | undefined;

  /** `onState` hears of every change, also of a pause while it fails; of the first one when there is a file, or when it could not be made. */
  constructor(
    settings: RecordingSettings,
    line: Omit<StereoTrackOptions, 'onAudio'>,
    disk: Disk,
    onState: (state: RecordingState, detail: string | undefined, isPaused: boolean) => void,
  ) {
    this.#settings = settings;
    this.#sampleRate = line.sampleRate;
    this.#disk = disk;
    this.#onState = onState;
    this.#track = new StereoTrack({ ...line, onAudio: (audio, from) => this.#keep(audio, from) });
    this.#track.paused = settings.paused;
    disk.stats.active += 1;
    void this.#write(Buffer.alloc(0), WAV_HEADER_BYTES);
  }

  get state(): RecordingState {
    if (this.#failing || this.#full) return 'failed';
    return this.#track.paused ? 'paused' : 'on';
  }

  /** The state that was told last: a bot that is connected again is not to guess it. */
  get told(): RecordingState | undefined {
    return this.#told;
  }

  get figures(): RecordingFigures {
    return {
      state: this.state,
      lengthMs: Math.round(this.#track.lengthMs),
      droppedMs: this.#droppedMs,
    };
  }

  /** As {@link StereoTrack.heard}. */
  heard(
    source: Buffer,
    start: number,
    end: number,
    timestampMs: number,
    receivedMs: number,
    nowMs: number,
  ): void {
    this.#track.heard(source, start, end, timestampMs, receivedMs, nowMs);
  }

  /** As {@link StereoTrack.played}. */
  played(source: Buffer, start: number, skippedFrames: number, nowMs: number): void {
    this.#track.played(source, start, skippedFrames, nowMs);
  }

  /** As {@link StereoTrack.flushed}. */
  flushed(): void {
    this.#track.flushed();
  }

  /** From now on silence is recorded. */
  pause(): void {
    this.#track.paused = true;
    this.#tell();
  }

  /** From now on what is heard is recorded again. */
  resume(): void {
    this.#track.paused = false;
    this.#tell();
  }

  /** Writes what is left and closes the file; resolves when that is done, or after a time limit. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#track.finish();
    const closed = this.#disk.do(() => this.#closeFile());
    const limit = new AbortController();
    await Promise.race([closed, delay(CLOSE_MS, undefined, { signal: limit.signal }).catch(() => {})]);
    limit.abort();
  }

  async #closeFile(): Promise<void> {
    this.#disk.stats.active -= 1;
    try {
      await this.#handle?.close();
      // Without a header it is no recording, only a name.
      if (this.#handle !== undefined && this.#writtenBytes < 0) await rm(this.#settings.path);
    } catch (error) {
      this.#failedBy(error);
    }
  }

  /** A block is finished: on to the disk, if that keeps up and the file may still grow. */
  #keep(audio: Buffer, from: number): void {
    const at = WAV_HEADER_BYTES + from * WAV_FRAME_BYTES;
    if (at + audio.length > this.#settings.maxBytes && !this.#full) {
      this.#full = true;
      this.#tell('the file is as large as it may be');
    }
    if (this.#full || this.#waiting >= BACKLOG_BLOCKS) return this.#drop(audio);
    this.#waiting += 1;
    void this.#write(audio, at).then(() => {
      this.#waiting -= 1;
    });
  }

  /** A place that was not written is silence when something behind it is (a hole in the file): the time stays right. */
  #write(audio: Buffer, at: number): Promise<void> {
    return this.#disk.do(async () => {
      try {
        this.#handle ??= await create(this.#settings.path);
        await writeAll(this.#handle, audio, at);
        this.#writtenBytes = at + audio.length - WAV_HEADER_BYTES;
        await writeAll(this.#handle, wavHeader(this.#sampleRate, this.#writtenBytes), 0);
        this.#disk.stats.bytes += audio.length;
        this.#failing = false;
        this.#tell();
      } catch (error) {
        this.#drop(audio);
        this.#failedBy(error);
      }
    });
  }

  #drop(audio: Buffer): void {
    const ms = (audio.length / WAV_FRAME_BYTES / this.#sampleRate) * 1000;
    this.#droppedMs += ms;
    this.#disk.stats.droppedMs += ms;
  }

  #failedBy(error: unknown): void {
    this.#failing = true;
    this.#tell((error as NodeJS.ErrnoException).code ?? (error as Error).message);
  }

  #tell(detail?: string): void {
    const { state } = this;
    // Before there is a file there is nothing to tell but that there will be none.
    const isSame = state === this.#told && this.#track.paused === this.#toldPaused;
    if (isSame || (state !== 'failed' && this.#writtenBytes < 0)) return;
    this.#told = state;
    this.#toldPaused = this.#track.paused;
    if (state === 'failed' && !this.#hasFailed) {
      this.#hasFailed = true;
      this.#disk.stats.failures += 1;
    }
    this.#onState(state, detail, this.#track.paused);
  }
}

/** Readable by us alone: it holds what people said. */
async function create(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  return await open(path, 'wx', 0o600);
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
