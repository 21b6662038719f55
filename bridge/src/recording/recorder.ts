import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Disk } from './disk.ts';
import { StereoTrack, type StereoTrackOptions } from './stereo-track.ts';
import { WAV_FRAME_BYTES, WAV_HEADER_BYTES, wavHeader } from './wav.ts';

/** How a call is recorded. Plain data: it crosses to a worker thread. */
export interface RecordingSettings {
  /** Path of the file. It must not exist. */
  readonly path: string;
  /** Record nothing until the first `resume`. */
  readonly paused: boolean;
  /** Limit of the file size. */
  readonly maxBytes: number;
}

/**
 * State of a recording. `failed`: the disk reports errors (writing is retried), or the file is
 * full.
 */
export type RecordingState = 'on' | 'paused' | 'failed';

/** Result of one call's recording. */
export interface RecordingFigures {
  readonly state: RecordingState;
  readonly lengthMs: number;
  /** Part of the length that is silence because audio could not be written. */
  readonly droppedMs: number;
}

/** Limit of blocks of 1 s that wait for the disk. When it is reached the newest is dropped. */
const BACKLOG_BLOCKS = 8;
/** Longest time that the end of a call waits for the disk. */
const CLOSE_MS = 1_000;

/**
 * Writes one call's file during the call: one second at a time, and the header with it. So a
 * process that is killed leaves a playable file. No method waits or throws on the packet path.
 */
export class Recorder {
  readonly #settings: RecordingSettings;
  readonly #sampleRate: number;
  readonly #disk: Disk;
  readonly #onState: (state: RecordingState, detail: string | undefined, isPaused: boolean) => void;
  readonly #track: StereoTrack;
  #handle: FileHandle | undefined;
  #waiting = 0;
  /** Bytes of samples written; -1: not even the header. */
  #writtenBytes = -1;
  #droppedMs = 0;
  #failing = false;
  #full = false;
  #told: RecordingState | undefined;
  #toldPaused = false;
  #hasFailed = false;
  #closing: Promise<void> | undefined;

  /**
   * `onState` is called on every change, also of a pause while writing fails. First it is called
   * when the file exists, or when it could not be made.
   */
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
    this.#track = new StereoTrack({ ...line, onAudio: (audio, from) => this.#queueBlock(audio, from) });
    this.#track.paused = settings.paused;
    disk.stats.active += 1;
    void this.#write(Buffer.alloc(0), WAV_HEADER_BYTES);
  }

  get state(): RecordingState {
    if (this.#failing || this.#full) return 'failed';
    return this.#track.paused ? 'paused' : 'on';
  }

  /** The last state that was reported, for a bot that reconnects. */
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

  /** Records silence from now on. */
  pause(): void {
    this.#track.paused = true;
    this.#tell();
  }

  /** Records audio again from now on. */
  resume(): void {
    this.#track.paused = false;
    this.#tell();
  }

  /**
   * Writes the rest and closes the file. Resolves when that is done, or after a time limit.
   * Idempotent.
   */
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
      // A file without a header is not a recording.
      if (this.#handle !== undefined && this.#writtenBytes < 0) await rm(this.#settings.path);
    } catch (error) {
      this.#failedBy(error);
    }
  }

  /**
   * Takes a finished block: writes it unless too many blocks wait or the file is full. The last
   * block comes while `close` begins.
   */
  #queueBlock(audio: Buffer, from: number): void {
    // Audio after the close would make or fill a file that nobody closes.
    if (this.#closing !== undefined) return;
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

  /**
   * A block that was not written leaves a hole, which reads as silence. So later audio keeps its
   * time.
   */
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
    // Before the file exists only a failure is reported.
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

/** Readable by this user only: it contains speech. */
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
