import { setTimeout as delay } from 'node:timers/promises';
import { type AriClient, AriError } from '../ari/client.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession } from '../media/session.ts';
import { type EndReason, reasonOfFailure } from './end-reason.ts';
import { CallEnded, type Ending } from './ending.ts';
import { LifeSigns } from './life-signs.ts';
import type { MediaPath } from './media-path.ts';

/** A call whose own packets or messages end workers must not end them for ever. */
const RECOVERIES_MAX = 2;
/** What ends one worker may end others in the same moment: a call is to find one that outlives it. */
const DEATHS_TOGETHER_MS = 20;
/** From a media channel's end to the word that our own worker died, whose socket it was. */
const WORKER_DEATH_MS = 500;

/** The call whose media it is. */
export interface TroubledCall {
  readonly ari: AriClient;
  readonly channelId: string;
  /** The caller's channel of now, where another may take the place of the first. */
  readonly caller?: { readonly id: string };
  readonly path: MediaPath;
  readonly transport: 'rtp' | 'websocket';
  /** For a media channel to enter Stasis. */
  readonly limitMs: number;
  readonly ending: Ending;
  readonly end: (reason: EndReason) => void;
  readonly warn: (detail: string, message: string) => void;
  readonly media: () => MediaSession | undefined;
  /** Whether it is being set up, or up, with its bot. */
  readonly isLive: () => boolean;
  /** Whether no audio of the caller is to be expected. */
  readonly isQuiet: () => boolean;
}

/** What can befall the media of a call, and what is done then: the call goes on wherever it can. */
export class MediaTroubles {
  readonly #call: TroubledCall;
  readonly #lifeSigns: LifeSigns;
  #recoveries = 0;
  /** The media channel that led to a worker that died. */
  #orphanId: string | undefined;
  /** The latest recovery. */
  #recovering = Promise.resolve();

  constructor(call: TroubledCall) {
    this.#call = call;
    this.#lifeSigns = new LifeSigns(() => call.ari.farEndCounts(call.caller?.id ?? call.channelId));
  }

  /** No audio comes any more. */
  audioCeased(): void {
    this.#lifeSigns.audioCeased();
  }

  /** No audio has come for long: a caller who only listens is kept. Never rejects. */
  async timedOut(): Promise<void> {
    const { isQuiet, isLive, media, end } = this.#call;
    if ((await this.#lifeSigns.isAlive()) || isQuiet()) media()?.lineLives();
    else if (isLive()) end({ kind: 'media-timeout' });
  }

  /** ARI: the media channel ended. Without it the call has no sound; where a worker died the call gets another one. Never rejects. */
  async channelGone(): Promise<void> {
    const { path, transport, end } = this.#call;
    const { mediaChannelId } = path;
    if (transport === 'websocket') await delay(WORKER_DEATH_MS);
    if (path.mediaChannelId === mediaChannelId && this.#orphanId !== mediaChannelId)
      end({ kind: 'media-failed', detail: 'the media channel ended' });
  }

  /** As `MediaPath.build`, and {@link survive}. */
  async buildPath(
    media: MediaSession,
    mark: (step: string) => void,
    release: (() => Promise<unknown>)[],
  ): Promise<void> {
    const { path, limitMs } = this.#call;
    await this.survive(() => path.build(media, limitMs, mark, release));
  }

  /**
   * A step of the set-up that a worker's death may break: where it does, what takes its place counts. Rejects as the step does, or
   * as {@link settled} does.
   */
  async survive(step: () => Promise<unknown>): Promise<void> {
    await this.settled();
    const before = this.#recoveries;
    try {
      await step();
    } catch (error) {
      // Asterisk may say that the media channel is gone before it is known why.
      if (this.#call.transport === 'websocket' && error instanceof AriError) await delay(WORKER_DEATH_MS);
      if (this.#recoveries === before) throw error;
    }
    await this.settled();
  }

  /** Resolves when no media is being opened anew. Rejects with what made that fail. */
  async settled(): Promise<void> {
    for (;;) {
      const recovering = this.#recovering;
      try {
        await recovering;
        if (recovering === this.#recovering) return;
      } catch (error) {
        if (recovering === this.#recovering) throw error;
      }
    }
  }

  /** The worker died: the call goes on in another, and a bot that knows the call is told so. Never rejects. */
  async workerDied(detail: string): Promise<void> {
    const { path, isLive, isQuiet, ending, end, warn, media } = this.#call;
    const session = media();
    if (session === undefined || !isLive()) return end({ kind: 'media-failed', detail });
    this.#recoveries += 1;
    path.mediaDied();
    const recovering = this.#recover(session, this.#recoveries);
    this.#recovering = recovering;
    this.#orphanId = path.mediaChannelId;
    warn(detail, 'media opened anew');
    try {
      await ending.orEnd(recovering);
      if (isQuiet()) session.expectAudio(false);
    } catch (error) {
      // The worker that was to take it died too: that has begun another recovery.
      if (error instanceof CallEnded || recovering !== this.#recovering) return;
      const failed = {
        kind: 'media-failed',
        detail: `${detail}, then: ${(error as Error).message}`,
      } as const;
      end(session.relays ? failed : reasonOfFailure(error as Error));
    }
  }

  async #recover(media: MediaSession, recovery: number): Promise<void> {
    if (this.#recoveries > RECOVERIES_MAX) throw new MediaError('worker-died', 'too often under this call');
    await delay(DEATHS_TOGETHER_MS);
    await media.reopen();
    const path = this.#call.path.renew(media, this.#call.limitMs).then(() => {
      // The caller hears that the line is alive while the bot is connected.
      if (media.relays && recovery === this.#recoveries) media.startRelay();
    });
    await Promise.all([path, media.connectBot()]);
  }
}
