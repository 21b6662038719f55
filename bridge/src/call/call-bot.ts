import type { MediaFigures, MediaSession } from '../media/session.ts';
import type { BridgeMessage, RecordingRequest } from '../pipecat/dialect.ts';
import { causeText } from '../q850/causes.ts';
import type { RecordingState } from '../recording/recorder.ts';
import { type EndReason, treatmentOf } from './end-reason.ts';

/** A call's bot, and the media that leads to it. The call can go on without both. */
export class CallBot {
  readonly #firstAudio = Promise.withResolvers<void>();
  #media: MediaSession | undefined;
  #isGone = false;
  #connectionId: string | undefined;
  #figures: MediaFigures | undefined;

  /** The media, once it is open. */
  get media(): MediaSession | undefined {
    return this.#media;
  }

  /** Whether the bot was released and the call goes on without it. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** The bot's last connection. Undefined: it is lost, or there was none yet. */
  get connectionId(): string | undefined {
    return this.#connectionId;
  }

  /** A connection of the bot is open. Undefined: the last one is lost. */
  connected(id: string | undefined): void {
    this.#connectionId = id;
  }

  /** Resolves when the bot has sent its first audio. */
  get firstAudio(): Promise<void> {
    return this.#firstAudio.promise;
  }

  /** The media is open. */
  opened(media: MediaSession): void {
    this.#media = media;
  }

  /** The bot has sent its first audio. */
  spoke(): void {
    this.#firstAudio.resolve();
  }

  /** Sends a message. No effect before the bot has had `start`. */
  tell(message: BridgeMessage): void {
    this.#media?.tellBot(message);
  }

  /** Pauses or resumes the recording. Resolves with its state, or rejects with a `MediaError`. */
  async record(state: RecordingRequest): Promise<RecordingState | 'off'> {
    if (this.#isGone) return 'off';
    return (await this.#media?.record(state)) ?? 'off';
  }

  /** Sends the last message: why the call ends for the bot, with a Q.850 cause. */
  dismiss({ kind }: EndReason, cause: number): void {
    this.#media?.dismissBot({ type: 'hangup', reason: kind, cause, causeText: causeText(cause) });
  }

  /** The call has no bot and no media of ours: it was adopted like that. */
  absent(): void {
    this.#isGone = true;
  }

  /**
   * The call goes on without its bot: dismisses the bot and closes the media. Calls `failed`
   * instead of rejecting.
   */
  async letGo(reason: EndReason, failed: (error: Error) => void): Promise<void> {
    this.#isGone = true;
    this.dismiss(reason, treatmentOf(reason).cause);
    this.#figures = await this.#readFigures();
    await this.#media?.close().catch(failed);
  }

  /** Figures of the media: the last ones if it is closed. Undefined if there are none. */
  async figures(): Promise<MediaFigures | undefined> {
    return this.#figures ?? (await this.#readFigures());
  }

  async #readFigures(): Promise<MediaFigures | undefined> {
    return await this.#media?.figures().catch(() => undefined);
  }
}
