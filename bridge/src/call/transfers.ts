import type { AriClient } from '../ari/client.ts';
import type { Provider } from '../config/providers.ts';
import type { MediaSession } from '../media/session.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import type { EndReason } from './end-reason.ts';
import type { CallInfo } from './info.ts';
import type { KeptTalk } from './kept-talk.ts';
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

/** What the call gives to its transfers. */
export interface TransfersContext {
  readonly info: CallInfo;
  /** The caller's channel, as it is now. */
  readonly channelId: () => string;
  readonly path: MediaPath;
  readonly ari: AriClient;
  readonly settings: TransferSettings;
  /** Whether a call to a provider may begin now; then it counts. */
  readonly mayDial: (provider: Provider) => boolean;
  /** Fires when the call ends. */
  readonly signal: AbortSignal;
  readonly end: (reason: EndReason) => void;
  readonly changed: (change: CallChange) => void;
  /** The caller talks to a second leg: the bot is let go, and the call goes on without it. Never rejects. */
  readonly letBotGo: (reason: EndReason) => Promise<void>;
}

/** A call's transfers, one at a time, and its being held. */
export class CallTransfers {
  readonly #context: TransfersContext;
  #count = 0;
  #transfer: Transfer | undefined;
  #outcome: TransferSummary | undefined;
  #running = Promise.resolve();
  #held = false;
  #by: 'bot' | 'operator' | undefined;
  /** Why the bot left while a transfer was under way. */
  #botLeft: EndReason | undefined;

  constructor(context: TransfersContext) {
    this.#context = context;
  }

  /** The transfer under way, or the last one. */
  get transfer(): Transfer | undefined {
    return this.#transfer;
  }

  /** Whether no audio of the caller is to be expected: the call is held, or the caller elsewhere. */
  get isQuiet(): boolean {
    return this.#held || this.callerAway;
  }

  /** The transfer under way, else what ended last: a refusal meanwhile is not what became of the caller. */
  get summary(): TransferSummary | undefined {
    return this.#isPending ? this.#transfer?.summary : this.#outcome;
  }

  /** What ended last: a transfer, or one that was refused meanwhile. */
  get outcome(): TransferSummary | undefined {
    return this.#outcome;
  }

  /** Hands the caller over, where the call is one that `isActive`. Returns why not, or undefined where it is under way. */
  ask(request: TransferRequest, by: 'bot' | 'operator', media: MediaSession | undefined, isActive: boolean) {
    const refusal = isActive && media ? this.#begin(request, by, media) : 'not-active';
    if (refusal && by === 'bot') {
      media?.tellBot({ type: 'transfer', status: 'failed', reason: refusal });
      this.#refused(request, refusal);
    }
    return refusal;
  }

  /** Two talk since a process before, or did: until one of the two hangs up. Returns the reason that the call's end will have. */
  keep({ leg }: KeptTalk): EndReason {
    const { info, path, ari, settings, changed, end } = this.#context;
    const before = info.adopted?.transfer;
    this.#by = info.adopted?.transferBy ?? 'bot';
    const number = before?.to ?? leg?.number ?? '';
    const provider = leg?.provider ?? '';
    const target = { kind: 'number', provider, number, method: 'bridge', callerId: '' } as const;
    const channelId = this.#context.channelId();
    this.#transfer = Transfer.kept(target, 1, { channelId, path, ari, settings }, leg);
    this.#outcome = this.#transfer.summary;
    if (before?.status !== 'completed') changed('transfer-completed');
    const reason: EndReason = { kind: 'transferred', by: this.#by };
    void this.#transfer.legEnded().then(() => end(reason));
    return reason;
  }

  /** A bot's transfer was not even tried: it may have no word for that, so others are told as of one that fails later. */
  #refused({ to, mode = 'blind', extension = to }: TransferRequest, reason: TransferRefusal): void {
    this.#outcome = { to: mode === 'dialplan' ? extension : to, mode, status: 'failed', reason };
    this.#context.changed('transfer-failed');
  }

  /** Who asked for the transfer under way, or for the last one; undefined where there was none. */
  get by(): 'bot' | 'operator' | undefined {
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

  #begin(request: TransferRequest, by: 'bot' | 'operator', media: MediaSession): TransferRefusal | undefined {
    if (this.#isPending) return 'under-way';
    const { info, path, ari, settings } = this.#context;
    const target = transferTarget(request, info, settings);
    if (typeof target === 'string') return target;
    if (target.kind === 'number' && !this.#mayDial(target.provider)) return 'provider-full';
    this.#count += 1;
    this.#by = by;
    const channelId = this.#context.channelId();
    this.#transfer = new Transfer(target, this.#count, { channelId, path, ari, settings });
    this.#running = this.#run(this.#transfer, media, by);
    return undefined;
  }

  /** The bot is done, or lost. Returns whether a transfer goes on without it; where that fails, the call ends for this reason. */
  botLeft(reason: EndReason): boolean {
    if (this.#isPending) this.#botLeft ??= reason;
    return this.#isPending;
  }

  /** The caller's phone holds the call, or goes on with it. */
  held(isHeld: boolean, media: MediaSession): void {
    this.#held = isHeld;
    if (!this.#isPending) media.expectAudio(!isHeld);
    media.tellBot({ type: isHeld ? 'hold' : 'unhold' });
    this.#context.changed(isHeld ? 'hold' : 'unhold');
  }

  /** After the call's end: resolves when nothing is under way any more, and the second leg is hung up. Rejects where that fails. */
  async release(): Promise<void> {
    await this.#running;
    await this.#transfer?.release();
  }

  /** A second leg is a call like any other that we place; so is what a network is asked for. */
  #mayDial(name: string): boolean {
    const { settings, mayDial } = this.#context;
    const provider = settings.providers.get(name);
    return provider !== undefined && mayDial(provider);
  }

  get #isPending(): boolean {
    return this.#transfer?.status === 'pending';
  }

  /** Never rejects. Who is handed over to a second leg is watched until one of the two hangs up. */
  async #run(transfer: Transfer, media: MediaSession, by: 'bot' | 'operator'): Promise<void> {
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
    await letBotGo(reason);
    void transfer.legEnded().then(() => end(reason));
  }
}
