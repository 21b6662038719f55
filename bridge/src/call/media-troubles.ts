import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import type { EndReason } from '../end-reason.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession } from '../media/session.ts';
import type { MediaPath } from '../media-path.ts';
import { CallEnded, type Ending } from './ending.ts';
import { LifeSigns } from './life-signs.ts';

/** A call whose own packets or messages end workers must not end them for ever. */
const RECOVERIES_MAX = 2;
/** From a media channel's end to the word that our own worker died, whose socket it was. */
const WORKER_DEATH_MS = 500;

/** The call whose media it is. */
export interface TroubledCall {
  readonly ari: AriClient;
  readonly channelId: string;
  readonly path: MediaPath;
  readonly transport: 'rtp' | 'websocket';
  /** For a media channel to enter Stasis. */
  readonly limitMs: number;
  readonly ending: Ending;
  readonly end: (reason: EndReason) => void;
  readonly warn: (detail: string, message: string) => void;
  readonly media: () => MediaSession | undefined;
  /** Whether it is up, with its bot. */
  readonly isActive: () => boolean;
  /** Whether no audio of the caller is to be expected. */
  readonly isQuiet: () => boolean;
}

/** What can befall the media of a call that is up, and what is done then: the call goes on wherever it can. */
export class MediaTroubles {
  readonly #call: TroubledCall;
  readonly #lifeSigns: LifeSigns;
  #recoveries = 0;
  /** The media channel that led to a worker that died. */
  #orphanId: string | undefined;

  constructor(call: TroubledCall) {
    this.#call = call;
    this.#lifeSigns = new LifeSigns(() => call.ari.farEndCounts(call.channelId));
  }

  /** No audio comes any more. */
  audioCeased(): void {
    this.#lifeSigns.audioCeased();
  }

  /** No audio has come for long: a caller who only listens is kept. Never rejects. */
  async timedOut(): Promise<void> {
    const { isQuiet, isActive, media, end } = this.#call;
    if ((await this.#lifeSigns.isAlive()) || isQuiet()) media()?.lineLives();
    else if (isActive()) end({ kind: 'media-timeout' });
  }

  /** ARI: the media channel ended. Without it the call has no sound; where a worker died the call gets another one. Never rejects. */
  async channelGone(): Promise<void> {
    const { path, transport, end } = this.#call;
    const { mediaChannelId } = path;
    if (transport === 'websocket') await delay(WORKER_DEATH_MS);
    if (path.mediaChannelId === mediaChannelId && this.#orphanId !== mediaChannelId)
      end({ kind: 'media-failed', detail: 'the media channel ended' });
  }

  /** The worker died: the call goes on in another, and the bot, connected anew, is told that it knows the call. Never rejects. */
  async workerDied(detail: string): Promise<void> {
    const { path, isActive, isQuiet, ending, end, warn, media } = this.#call;
    const session = media();
    if (session === undefined || !isActive()) return end({ kind: 'media-failed', detail });
    this.#recoveries += 1;
    const recovery = this.#recoveries;
    this.#orphanId = path.mediaChannelId;
    warn(detail, 'media opened anew');
    try {
      await ending.orEnd(this.#recover(session));
      if (isQuiet()) session.expectAudio(false);
    } catch (error) {
      // The worker that was to take it died too: that has begun another recovery.
      if (error instanceof CallEnded || recovery !== this.#recoveries) return;
      end({ kind: 'media-failed', detail: `${detail}, then: ${(error as Error).message}` });
    }
  }

  async #recover(media: MediaSession): Promise<void> {
    if (this.#recoveries > RECOVERIES_MAX) throw new MediaError('WorkerDied', 'too often under this call');
    await media.reopen();
    await Promise.all([this.#call.path.renew(media, this.#call.limitMs), media.connectBot()]);
    media.startRelay();
  }
}
