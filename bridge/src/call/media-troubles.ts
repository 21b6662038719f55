import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import { AriError } from '../ari/requests.ts';
import { withinLimit } from '../async/time-limit.ts';
import type { Transport } from '../config/media-settings.ts';
import { MediaError } from '../media/media-error.ts';
import type { MediaSession } from '../media/session.ts';
import { type EndReason, reasonOfFailure } from './end-reason.ts';
import { CallEnded, type Ending } from './ending.ts';
import { LifeSigns } from './life-signs.ts';
import type { MediaPath } from './media-path.ts';
import { RecoveryBudget } from './recovery-budget.ts';

/** Wait before a recovery: the same cause may crash other workers at the same moment. */
const DEATHS_TOGETHER_MS = 20;
/** A worker's death ends its media channels. Its report arrives within this time after that. */
const WORKER_DEATH_MS = 500;
/** Longest wait for the events of Asterisk before a media channel is created. */
const OUTAGE_MS = 90_000;

const isAway = () => new Error('the events of Asterisk do not reach us');

/** The call whose media it is. */
export interface TroubledCall {
  readonly ari: AriClient;
  readonly channelId: string;
  /** The caller's current channel, if it can be replaced. */
  readonly caller?: { readonly id: string };
  readonly path: MediaPath;
  readonly transport: Transport;
  /** Time for a media channel to enter Stasis. */
  readonly limitMs: number;
  readonly ending: Ending;
  /** The media is lost: ends the call. A transfer in progress goes on without it. */
  readonly lost: (reason: EndReason) => void;
  /** False once the call goes on without its bot: nothing of its media ends the call then. */
  readonly needsMedia: () => boolean;
  readonly warn: (detail: string, message: string) => void;
  readonly media: () => MediaSession | undefined;
  /** Whether the call is in set-up or active, with its bot. */
  readonly isLive: () => boolean;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  /** Whether no audio is expected from the caller. */
  readonly isQuiet: () => boolean;
  /** The media was opened anew. */
  readonly isBack: (media: MediaSession) => void;
}

/** Handles failures of a call's media. The call continues wherever that is possible. */
export class MediaTroubles {
  readonly #call: TroubledCall;
  readonly #lifeSigns: LifeSigns;
  #recoveries = 0;
  readonly #budget = new RecoveryBudget();
  /** The media channel of media that is gone. */
  #orphanId: string | undefined;
  /** The latest recovery. */
  #recovering = Promise.resolve();

  constructor(call: TroubledCall) {
    this.#call = call;
    this.#lifeSigns = new LifeSigns(() => call.ari.farEndCounts(call.caller?.id ?? call.channelId));
  }

  /** No audio arrives any more. */
  audioCeased(): void {
    this.#lifeSigns.audioCeased();
  }

  /** No audio has arrived for long. A caller who only listens is kept. Never rejects. */
  async timedOut(): Promise<void> {
    const { isQuiet, isLive, media } = this.#call;
    const before = this.#recoveries;
    if ((await this.#lifeSigns.isAlive()) || isQuiet()) media()?.lineLives();
    // Media that was opened anew meanwhile has its own time-out.
    else if (isLive() && this.#recoveries === before) this.#lost({ kind: 'media-timeout' });
  }

  /**
   * ARI: the media channel ended. Ends the call, because it has no sound then, unless a worker's
   * death is the cause: then the call gets another media channel. Never rejects.
   */
  async channelGone(): Promise<void> {
    const { path, transport } = this.#call;
    const { mediaChannelId } = path;
    if (transport === 'websocket') await delay(WORKER_DEATH_MS);
    if (path.mediaChannelId === mediaChannelId && this.#orphanId !== mediaChannelId)
      this.#lost({ kind: 'media-failed', detail: 'the media channel ended' });
  }

  /** As `MediaPath.build`, with {@link survive}. */
  async buildPath(
    media: MediaSession,
    mark: (step: string) => void,
    release: (() => Promise<unknown>)[],
  ): Promise<void> {
    const { path, limitMs } = this.#call;
    await this.survive(() => this.#lay(media, () => path.build(media, limitMs, mark, release)));
  }

  /**
   * Runs a set-up step that a worker's death can break. If a worker died, the recovery's result
   * counts instead. Rejects as the step or as {@link settled} does.
   */
  async survive(step: () => Promise<unknown>): Promise<void> {
    await this.settled();
    const before = this.#recoveries;
    try {
      await step();
    } catch (error) {
      // Asterisk may report the lost media channel before the worker's death is known.
      if (this.#call.transport === 'websocket' && error instanceof AriError) await delay(WORKER_DEATH_MS);
      if (this.#recoveries === before) throw error;
    }
    await this.settled();
  }

  /** Resolves when no recovery is running. Rejects with the last recovery's error. */
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

  /**
   * The worker died, or the media was abandoned: opens other media. A bot that knows the
   * call is told. Never rejects.
   */
  async workerDied(detail: string): Promise<void> {
    const { path, isLive, isBack, ending, warn, media } = this.#call;
    const session = media();
    if (session === undefined || !isLive()) return this.#lost({ kind: 'media-failed', detail });
    this.#recoveries += 1;
    path.mediaDied();
    const recovering = this.#recover(session, this.#recoveries);
    this.#recovering = recovering;
    this.#orphanId = path.mediaChannelId;
    warn(detail, 'media opened anew');
    try {
      await ending.orEnd(recovering);
      if (isLive()) isBack(session);
    } catch (error) {
      // The new worker died too, which has started another recovery.
      if (error instanceof CallEnded || recovering !== this.#recovering) return;
      const failed = {
        kind: 'media-failed',
        detail: `${detail}, then: ${(error as Error).message}`,
      } as const;
      this.#lost(session.relays ? failed : reasonOfFailure(error as Error));
    }
  }

  /** Each step that failed took its time: the call may have been transferred meanwhile. */
  #lost(reason: EndReason): void {
    if (this.#call.needsMedia()) this.#call.lost(reason);
  }

  async #recover(media: MediaSession, recovery: number): Promise<void> {
    const { ari, path, limitMs, now } = this.#call;
    // In an outage Asterisk ends the media itself, and no second one is opened before its end.
    if (ari.apps.isActive && !this.#budget.spend(now()))
      throw new MediaError('worker-died', 'too often under this call');
    await delay(DEATHS_TOGETHER_MS);
    // First of all: a bot would be connected to nobody.
    await this.#untilActive();
    await media.reopen();
    const renewed = this.#lay(media, () => path.renew(media, limitMs)).then(() => {
      // The caller's media must not stop while the bot is being connected.
      if (media.relays && recovery === this.#recoveries) media.startRelay();
    });
    await Promise.all([renewed, media.connectBot()]);
  }

  /**
   * Creates a media channel. If that fails in an outage of the events, which may be over by then,
   * other media is opened after it: Asterisk has hung up the channel, or the event of its start is
   * lost. Rejects as `step` does.
   */
  async #lay(media: MediaSession, step: () => Promise<void>): Promise<void> {
    const { ari, isLive } = this.#call;
    const { outages } = ari.apps;
    const before = this.#recoveries;
    try {
      await step();
    } catch (error) {
      const isOutage = !ari.apps.isActive || ari.apps.outages !== outages;
      if (isOutage && before === this.#recoveries && isLive()) media.abandon((error as Error).message);
      throw error;
    }
  }

  /** Waits until the events of Asterisk arrive. Rejects if the call ends, or is without media. */
  async #untilActive(): Promise<void> {
    const { ari, ending, isLive } = this.#call;
    await withinLimit(ari.apps.whenActive(), OUTAGE_MS, isAway, ending.signal);
    if (!isLive()) throw new CallEnded('while the events of Asterisk were away');
  }
}
