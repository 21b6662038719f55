import type { AriClient } from '../ari/client.ts';
import type { Provider } from '../config/providers.ts';
import type { MediaSession } from '../media/session.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import type { AdoptedTalk } from './adopted-talk.ts';
import type { EndReason, Requester } from './end-reason.ts';
import type { CallInfo } from './info.ts';
import type { MediaPath } from './media-path.ts';
import type { CallChange } from './result.ts';
import { Transfer } from './transfer.ts';
import type { TransferRefusal } from './transfer-reasons.ts';
import type { TransferSummary } from './transfer-summary.ts';
import { type TransferRules, transferTarget } from './transfer-target.ts';

/** Time limits and rules of transfers. */
export interface TransferSettings extends TransferRules {
  readonly ringTimeoutMs: number;
  readonly ariTimeoutMs: number;
}

/** What transfers work with: objects of their call. */
export interface TransfersContext {
  readonly info: CallInfo;
  /** The caller's current channel. */
  readonly channelId: () => string;
  readonly path: MediaPath;
  readonly ari: AriClient;
  readonly settings: TransferSettings;
  /** Takes a permit of a provider for a second leg. Returns false if a limit is reached. */
  readonly admitLeg: (provider: Provider) => boolean;
  /** Fires when the call ends. */
  readonly signal: AbortSignal;
  readonly end: (reason: EndReason) => void;
  readonly changed: (change: CallChange) => void;
  /**
   * The caller talks to a second leg: releases the bot. The call goes on without it. Never rejects.
   */
  readonly letBotGo: (reason: EndReason) => Promise<void>;
}

/** A call's transfers, one at a time, and its hold state. */
export class CallTransfers {
  readonly #context: TransfersContext;
  #count = 0;
  #transfer: Transfer | undefined;
  #outcome: TransferSummary | undefined;
  #running = Promise.resolve();
  #held = false;
  #by: Requester | undefined;
  /** Why the bot left during a transfer. */
  #botLeft: EndReason | undefined;

  constructor(context: TransfersContext) {
    this.#context = context;
  }

  /** The transfer that began last. Its status says whether it is in progress. */
  get latest(): Transfer | undefined {
    return this.#transfer;
  }

  /** Whether no audio is expected: the caller is on hold, in the dialplan, or with a second leg. */
  get isQuiet(): boolean {
    return this.#held || this.callerAway || (this.#transfer?.isApart ?? false);
  }

  /**
   * What a record shows of the latest request: with status `pending` while its transfer runs, else
   * with its result. A refusal during a transfer is not shown.
   */
  get latestSummary(): TransferSummary | undefined {
    return this.#isPending ? this.#transfer?.summary : this.#outcome;
  }

  /** The last result: of a transfer, or of a refused request. */
  get outcome(): TransferSummary | undefined {
    return this.#outcome;
  }

  /** Starts a transfer, if the call `isActive`. Returns why not, or undefined. */
  ask(request: TransferRequest, by: Requester, media: MediaSession | undefined, isActive: boolean) {
    const refusal = isActive && media ? this.#begin(request, by, media) : 'not-active';
    if (refusal && by === 'bot') {
      media?.tellBot({ type: 'transfer', status: 'failed', reason: refusal });
      this.#refused(request, refusal);
    }
    return refusal;
  }

  /**
   * Adopts a bridged transfer, until one of the two hangs up. Returns the reason that the call will
   * end with.
   */
  adopt({ leg }: AdoptedTalk): EndReason {
    const { info, path, ari, settings, changed, end } = this.#context;
    const before = info.adopted?.transfer;
    this.#by = info.adopted?.transferBy ?? 'bot';
    const number = before?.to ?? leg?.number ?? '';
    const provider = leg?.provider ?? '';
    const target = { kind: 'number', provider, number, method: 'bridge', callerId: '' } as const;
    const channelId = this.#context.channelId();
    this.#transfer = Transfer.adopted(target, 1, { channelId, path, ari, settings }, leg);
    this.#outcome = this.#transfer.summary;
    if (before?.status !== 'completed') changed('transfer-completed');
    const reason: EndReason = { kind: 'transferred', by: this.#by };
    void this.#transfer.legEnded().then(() => end(reason));
    return reason;
  }

  /**
   * A bot's transfer was refused. Its dialect may have no message for that, so it is reported like
   * a failed transfer.
   */
  #refused({ to, mode = 'blind', extension = to }: TransferRequest, reason: TransferRefusal): void {
    this.#outcome = { to: mode === 'dialplan' ? extension : to, mode, status: 'failed', reason };
    this.#context.changed('transfer-failed');
  }

  /** Who asked for the transfer in progress or the last one. Undefined without a transfer. */
  get by(): Requester | undefined {
    return this.#by;
  }

  /** Whether the caller's phone holds the call. */
  get isHeld(): boolean {
    return this.#held;
  }

  /** Whether the caller is in the dialplan, where we sent them. */
  get callerAway(): boolean {
    return this.#transfer?.callerAway ?? false;
  }

  #begin(request: TransferRequest, by: Requester, media: MediaSession): TransferRefusal | undefined {
    if (this.#isPending) return 'under-way';
    const { info, path, ari, settings } = this.#context;
    const target = transferTarget(request, info, settings);
    if (typeof target === 'string') return target;
    if (target.kind === 'number' && !this.#admitLeg(target.provider)) return 'provider-full';
    this.#count += 1;
    this.#by = by;
    const channelId = this.#context.channelId();
    this.#transfer = new Transfer(target, this.#count, { channelId, path, ari, settings });
    this.#running = this.#run(this.#transfer, media, by);
    return undefined;
  }

  /**
   * The bot hung up or was lost. Returns whether a transfer goes on without it. If that transfer
   * fails, the call ends for this reason.
   */
  botLeft(reason: EndReason): boolean {
    if (this.#isPending) this.#botLeft ??= reason;
    return this.#isPending;
  }

  /** The caller's phone holds or resumes the call. */
  held(isHeld: boolean, media: MediaSession): void {
    this.#held = isHeld;
    if (!this.#isPending) media.expectAudio(!isHeld);
    media.tellBot({ type: isHeld ? 'hold' : 'unhold' });
    this.#context.changed(isHeld ? 'hold' : 'unhold');
  }

  /** The media was opened anew: tells it and its bot of the hold and the transfer in progress. */
  mediaIsBack(media: MediaSession): void {
    if (this.isQuiet) media.expectAudio(false);
    if (this.#held) media.tellBot({ type: 'hold' });
    if (this.#isPending) media.tellBot({ type: 'transfer', status: 'started' });
  }

  /**
   * After the call's end: resolves when no transfer runs and the second leg is hung up. Rejects if
   * that fails.
   */
  async release(): Promise<void> {
    await this.#running;
    await this.#transfer?.release();
  }

  /** A second leg and a REFER both count as calls over the provider. */
  #admitLeg(name: string): boolean {
    const { settings, admitLeg } = this.#context;
    const provider = settings.providers.get(name);
    return provider !== undefined && admitLeg(provider);
  }

  get #isPending(): boolean {
    return this.#transfer?.status === 'pending';
  }

  /**
   * Runs a transfer. Never rejects. After a bridged transfer it watches until one of the two hangs
   * up.
   */
  async #run(transfer: Transfer, media: MediaSession, by: Requester): Promise<void> {
    const { signal, changed, end, letBotGo } = this.#context;
    changed('transfer-started');
    await transfer.run(media, signal);
    this.#outcome = transfer.summary;
    if (signal.aborted) return;
    if (transfer.status === 'failed') {
      changed('transfer-failed');
      if (transfer.isCallerLost)
        return end({ kind: 'media-failed', detail: 'the caller did not come back from a REFER in time' });
      media.expectAudio(!this.#held);
      if (this.#botLeft !== undefined) end(this.#botLeft);
      return;
    }
    changed('transfer-completed');
    const reason: EndReason = { kind: 'transferred', by };
    if (transfer.legId === undefined) return end(reason);
    // Not awaited: a worker that hangs must not hide the leg's end, nor delay the call's.
    void letBotGo(reason);
    void transfer.legEnded().then(() => end(reason));
  }
}
