import type { KeyEvent } from '../ari/model.ts';
import { AriError } from '../ari/requests.ts';
import type { RecordingRequest, TransferRequest } from '../pipecat/dialect.ts';
import type { RecordingState } from '../recording/recorder.ts';
import type { AdoptedTalk } from './adopted-talk.ts';
import type { CallerChannel } from './caller-channel.ts';
import type { Dial } from './dial.ts';
import { limitDuration } from './duration.ts';
import { type EndReason, type Requester, reasonOfFailure, treatmentOf } from './end-reason.ts';
import { CallEnded } from './ending.ts';
import type { CallInfo } from './info.ts';
import type { MediaPath } from './media-path.ts';
import { CallParts, type PartsContext } from './parts.ts';
import type { RecordingLog } from './recording-log.ts';
import { releaseCall } from './release.ts';
import type { CallChange, CallResult, CallState } from './result.ts';
import { setUp, type Undo } from './set-up.ts';
import type { CallSettings } from './settings.ts';
import type { Steps } from './steps.ts';
import type { Transfer } from './transfer.ts';
import type { TransferRefusal } from './transfer-reasons.ts';
import type { CallTransfers } from './transfers.ts';
import { UNUSABLE, UnusableAnswer } from './usable-answer.ts';

/** What a call works with. */
export interface CallContext extends PartsContext {
  /** Called at every change that is reported. */
  readonly onChange: (call: Call, change: CallChange) => void;
}

/**
 * One call. `run()` owns everything that the call opens. Others may only report ARI events, or a
 * reason to end (`end`). The first reason wins.
 */
export class Call {
  readonly path: MediaPath;
  readonly caller: CallerChannel;
  readonly recordingLog: RecordingLog;
  /** The call's transfers and hold state, as records show them. */
  readonly transfers: Pick<CallTransfers, 'latestSummary' | 'outcome' | 'isHeld' | 'by'>;
  /** The time of the offer and of the steps since. */
  readonly steps: Pick<Steps, 'offeredMs' | 'offeredAtMs' | 'ms'>;
  /** What went wrong without ending the call, as records show it. */
  readonly warnings: ReadonlySet<string>;
  readonly #parts: CallParts;
  readonly #context: CallContext;
  #info: CallInfo;
  #state: CallState = 'setup';

  constructor(info: CallInfo, isUp: boolean, settings: CallSettings, context: CallContext, dial?: Dial) {
    this.#info = info;
    this.#context = context;
    const parts = new CallParts({ info, isUp, dial }, settings, context, {
      info: () => this.info,
      isEnding: () => this.isEnding,
      end: (reason) => this.end(reason),
      changed: (change) => this.#changed(change),
      answered: () => this.#noteAnswer(),
      transfer: (request) => void this.transfer(request, 'bot'),
      botLeaves: (reason, queuedMs) => this.#botLeaves(reason, queuedMs),
      letBotGo: (reason) => this.#letBotGo(reason),
    });
    this.#parts = parts;
    this.path = parts.path;
    this.caller = parts.caller;
    this.recordingLog = parts.recordingLog;
    this.transfers = parts.transfers;
    this.steps = parts.steps;
    this.warnings = parts.warnings;
  }

  get info(): CallInfo {
    return this.#info;
  }

  /** The adopted call's record was found only after the call had begun. */
  foundRecord(info: CallInfo): void {
    this.#info = info;
  }

  get state(): CallState {
    return this.#state;
  }

  /** Whether the end is decided. Queued audio may still be played. */
  get isEnding(): boolean {
    return this.#parts.ending.isOver || this.#state === 'closing' || this.#state === 'closed';
  }

  /** Whether the call has ended, and no more audio is to be played. */
  get isReleasing(): boolean {
    return this.isEnding && this.#parts.ending.signal.aborted;
  }

  /** The outbound dial, until the callee answers. */
  get pendingDial(): Dial | undefined {
    return this.#parts.answer.pendingDial;
  }

  /** Whether the caller's channel is up. */
  get answered(): boolean {
    return this.#parts.answer.isGiven;
  }

  /**
   * Ends the call for a reason. `queuedMs` is the bot's audio that is not played yet, ms. The first
   * reason wins; a later one can still stop the playing of queued audio.
   */
  end(reason: EndReason, queuedMs = 0): void {
    const { drain, by } = treatmentOf(reason);
    // The bot spoke and hung up before the answer: set-up goes on, then its audio is played.
    const saysGoodbye = drain && by === 'bot' && queuedMs > 0;
    if (this.#state === 'setup' && saysGoodbye) this.#parts.ending.because(reason);
    else this.#parts.ending.end(reason);
  }

  /** Ends the playing of queued audio, if the call is ending. */
  cut(): void {
    if (this.isEnding) this.#parts.ending.abort();
  }

  /** ARI: the caller's channel ends. With a Q.850 cause, and a refusing callee's SIP status. */
  callerHungUp(cause: number | undefined, sipStatus?: number, why?: EndReason): void {
    this.#parts.ending.callerWent(cause, sipStatus);
    this.end(why ?? { kind: this.pendingDial === undefined ? 'caller-hangup' : 'not-answered' });
  }

  /** The bot's connection, which names itself in a hang-up by REST. Undefined: it is lost. */
  get botConnectionId(): string | undefined {
    return this.#parts.bot.connectionId;
  }

  /** The bot hung up, but not by a message on its socket. */
  botHungUp(): void {
    const { media } = this.#parts.bot;
    if (media === undefined) this.end({ kind: 'bot-hangup' });
    else media.hangUp();
  }

  /** ARI: the media channel is gone. Without it the call has no sound. */
  mediaGone(): void {
    if (!this.#parts.bot.isGone) void this.#parts.troubles.channelGone();
  }

  /** ARI: the caller pressed a key. Asterisk may report it twice. */
  dtmfReceived({ digit, duration_ms: durationMs, timestamp: atMs }: KeyEvent): void {
    if (this.caller.keyRepeats.isRepeat({ digit, durationMs, atMs })) return;
    this.#parts.bot.tell({ type: 'dtmf', digit, durationMs });
  }

  /** Pauses or resumes the recording. Resolves with its state, or rejects with a `MediaError`. */
  async recording(state: RecordingRequest): Promise<RecordingState | 'off'> {
    return await this.#parts.bot.record(state);
  }

  /** Starts a transfer, or returns why not. Its progress goes to `onChange` and to the bot. */
  transfer(request: TransferRequest, by: Requester): TransferRefusal | undefined {
    const isActive = this.#state === 'active' && this.#parts.ending.reason === undefined;
    return this.#parts.transfers.ask(request, by, this.#parts.bot.media, isActive);
  }

  /** The transfer that began last. Its status says whether it is in progress. */
  get latestTransfer(): Transfer | undefined {
    return this.#parts.transfers.latest;
  }

  /** ARI: the caller's channel left our app. It hung up, unless we sent it to the dialplan. */
  callerLeftStasis(): void {
    if (!this.#parts.transfers.callerAway) this.callerHungUp(undefined);
  }

  /** ARI: the caller's phone holds or resumes the call. */
  held(isHeld: boolean): void {
    const { media, isGone } = this.#parts.bot;
    if (media !== undefined && !isGone) this.#parts.transfers.held(isHeld, media);
  }

  /** Runs the call from offer to release. Never rejects. */
  async run(): Promise<CallResult> {
    const release: Undo[] = [];
    try {
      // An outbound dial of ours has its own ring timeout.
      const limitMs = this.#parts.answer.dial === undefined ? this.#parts.settings.setUpMaxMs : undefined;
      await this.#parts.ending.bound(this.#setUp(release), limitMs);
      this.#state = 'active';
      this.#changed('active');
      const { reason } = this.#parts.ending;
      if (reason !== undefined && !this.#parts.bot.isGone) throw new CallEnded(reason.kind);
      await this.#untilEnd();
    } catch (error) {
      if (!(error instanceof CallEnded)) await this.#failed(error);
    }
    return await this.#close(release);
  }

  /** Rejects when the call ends, at the latest after its longest duration. */
  async #untilEnd(): Promise<never> {
    const { answeredAtMs = Date.now() } = this.info;
    const tellBot = (remainingMs: number) =>
      this.#parts.bot.tell({ type: 'limit', kind: 'max-duration', remainingMs });
    const end = () => this.end({ kind: 'max-duration' });
    const stop = limitDuration(this.#parts.settings, Date.now() - answeredAtMs, tellBot, end);
    return await this.#parts.ending.ended.finally(stop);
  }

  /** The caller now talks to a second leg: releases the bot and its media. */
  async #letBotGo(reason: EndReason): Promise<void> {
    this.#parts.mark('transferred');
    this.#parts.ending.because(reason);
    const failed = (error: Error) => this.#parts.log.releaseFailed(error);
    await this.#parts.bot.letGo(reason, failed);
    await this.path.removeMedia().catch(failed);
  }

  /** Adopts a bridged transfer: there is no bot and no media of ours. */
  #adopt(talk: AdoptedTalk, release: Undo[]): void {
    this.#parts.bot.absent();
    for (const step of ['joined', 'transferred']) this.#parts.mark(step);
    this.#parts.log.inBackground(Promise.all([this.caller.attend(), this.path.takeOver(release)]), 'attend');
    this.#parts.ending.because(this.#parts.transfers.adopt(talk));
  }

  /** The bot hung up, or it or the media was lost. A transfer goes on without it. */
  #botLeaves(reason: EndReason, queuedMs = 0): void {
    if (!this.#parts.transfers.botLeft(reason)) this.end(reason, queuedMs);
  }

  /** A step failed. If the caller has just hung up, that is the reason, even without its event. */
  async #failed(error: unknown): Promise<void> {
    if (error instanceof AriError && error.status >= 400) await this.caller.mayHaveLeft();
    if (error instanceof UnusableAnswer) this.#parts.ending.refused(UNUSABLE);
    this.end(reasonOfFailure(error as Error));
  }

  async #setUp(release: Undo[]): Promise<void> {
    const { talk } = this.#context;
    if (talk !== undefined) return this.#adopt(talk, release);
    await setUp(this.#parts, release);
    if (this.info.adopted?.isHeld) this.held(true);
  }

  #noteAnswer(): void {
    this.#parts.answer.given();
    this.#parts.mark('answered');
    this.#changed('answered');
  }

  async #close(release: Undo[]): Promise<CallResult> {
    this.#state = 'closing';
    await this.#parts.answer.settle();
    this.#changed('closing');
    const released = await releaseCall(this.#parts, release);
    this.#state = 'closed';
    const { answered } = this;
    const sipStatus = answered ? undefined : this.#parts.ending.sipStatus;
    return { ...released, sipStatus, answered, stepsMs: this.steps.ms };
  }

  /** Reports no change after the end: the end is reported last. */
  #changed(change: CallChange): void {
    if (this.#state !== 'closed') this.#context.onChange(this, change);
  }
}
