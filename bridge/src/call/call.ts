import type { AriClient } from '../ari/client.ts';
import type { KeyEvent } from '../ari/model.ts';
import { AriError } from '../ari/requests.ts';
import type { Logger } from '../log.ts';
import type { MediaPool } from '../media/pool.ts';
import type { MediaEvent } from '../media/session.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import type { RecordingState } from '../recording/recorder.ts';
import { Answer } from './answer.ts';
import { CallBot } from './call-bot.ts';
import { CallLog } from './call-log.ts';
import { CallerChannel } from './caller-channel.ts';
import type { Dial } from './dial.ts';
import { limitDuration } from './duration.ts';
import { type EndReason, reasonOfFailure, treatmentOf } from './end-reason.ts';
import { CallEnded, Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import type { KeptTalk } from './kept-talk.ts';
import { dispatchMediaEvent, type MediaEventHooks } from './media-events.ts';
import { type CallIds, MediaPath } from './media-path.ts';
import { MediaTroubles } from './media-troubles.ts';
import { RecordingLog } from './recording-log.ts';
import { releaseCall } from './release.ts';
import type { CallChange, CallResult, CallState } from './result.ts';
import { setUp, type Undo } from './set-up.ts';
import type { CallSettings } from './settings.ts';
import type { Transfer } from './transfer.ts';
import type { TransferRefusal } from './transfer-reasons.ts';
import { CallTransfers, type TransfersContext } from './transfers.ts';
import { UNUSABLE, UnusableAnswer } from './usable-answer.ts';

/** What a call works with. */
export interface CallContext extends Pick<TransfersContext, 'mayDial'> {
  readonly ari: AriClient;
  readonly media: MediaPool;
  readonly log: Logger;
  /** For a caller whom a previous process transferred to a second leg. */
  readonly talk?: KeptTalk | undefined;
  /** The process and the call's number: parts of the ids of its objects in Asterisk. */
  readonly ids: Pick<CallIds, 'instance' | 'number'>;
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
  /** Time of the offer, ms: first on the monotonic clock, then in Unix time. */
  readonly offeredMs: number;
  readonly offeredAtMs = Date.now();
  readonly recordingLog: RecordingLog;
  #info: CallInfo;
  readonly #settings: CallSettings;
  readonly #context: CallContext;
  readonly #ending = new Ending();
  readonly #steps = new Map<string, number>();
  readonly #log: CallLog;
  readonly #answer: Answer;
  readonly #bot = new CallBot();
  readonly #transfers: CallTransfers;
  readonly #troubles: MediaTroubles;
  readonly #mediaHooks: MediaEventHooks;
  #state: CallState = 'setup';

  constructor(info: CallInfo, isUp: boolean, settings: CallSettings, context: CallContext, dial?: Dial) {
    const { ari, talk } = context;
    const end = (reason: EndReason) => this.end(reason);
    const mark = (step: string) => this.#mark(step);
    const warn = (detail: string | undefined, message: string) => this.#log.warn(detail, message);
    this.#info = info;
    this.#settings = settings;
    this.#context = context;
    this.#log = new CallLog(context.log, () => this.info.callId, this.#ending);
    this.#answer = new Answer(info, isUp, talk !== undefined, dial);
    this.recordingLog = new RecordingLog(info, {
      changed: () => this.#changed('recording'),
      keep: (mode) => this.#log.inBackground(ari.setVariable(this.caller.id, 'X_RECORD', mode), 'keep'),
    });
    this.path = new MediaPath({ ...context.ids, callerId: info.channelId }, settings.media, ari);
    this.caller = new CallerChannel({
      ari,
      info,
      bridgeId: this.path.bridgeId,
      ending: this.#ending,
      warn: (error, message) => warn(error.message, message),
    });
    this.#troubles = new MediaTroubles({
      ari,
      channelId: info.channelId,
      path: this.path,
      ending: this.#ending,
      transport: settings.media.transport,
      limitMs: settings.ariTimeoutMs,
      caller: this.caller,
      end,
      warn,
      media: () => this.#bot.media,
      isLive: () => !this.isEnding && this.#ending.reason === undefined && !this.#bot.isGone,
      isQuiet: () => this.#transfers.isQuiet,
    });
    this.#transfers = new CallTransfers({
      ...context,
      info,
      path: this.path,
      settings: settings.transfer,
      signal: this.#ending.signal,
      channelId: () => this.caller.id,
      end,
      changed: (change) => this.#changed(change),
      letBotGo: (reason) => this.#letBotGo(reason),
    });
    this.#mediaHooks = {
      troubles: this.#troubles,
      recordingLog: this.recordingLog,
      mark,
      firstBotAudio: () => this.#bot.spoke(),
      end,
      botLeaves: (reason, queuedMs) => this.#botLeaves(reason, queuedMs),
      dtmf: (digits) => this.caller.dtmf(digits),
      transfer: (request) => void this.transfer(request, 'bot'),
      warn,
    };
    this.offeredMs = performance.now();
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
    return this.#ending.isOver || this.#state === 'closing' || this.#state === 'closed';
  }

  /** Ms from the offer to each step that was reached. */
  get stepsMs(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#steps);
  }

  /** The outbound dial, until the callee answers. */
  get pendingDial(): Dial | undefined {
    return this.#answer.pendingDial;
  }

  /** Whether the caller's channel is up. */
  get answered(): boolean {
    return this.#answer.isGiven;
  }

  /**
   * Ends the call for a reason. `queuedMs` is the bot's audio that is not played yet, ms. The first
   * reason wins; a later one can still stop the playing of queued audio.
   */
  end(reason: EndReason, queuedMs = 0): void {
    const { drain, by } = treatmentOf(reason);
    // The bot spoke and hung up before the answer: set-up goes on, then its audio is played.
    const saysGoodbye = drain && by === 'bot' && queuedMs > 0;
    if (this.#state === 'setup' && saysGoodbye) this.#ending.because(reason);
    else this.#ending.end(reason);
  }

  /** ARI: the caller's channel ends. With a Q.850 cause, and a refusing callee's SIP status. */
  callerHungUp(cause: number | undefined, sipStatus?: number, why?: EndReason): void {
    this.#ending.callerWent(cause, sipStatus);
    this.end(why ?? { kind: this.pendingDial === undefined ? 'caller-hangup' : 'not-answered' });
  }

  /** The bot hung up, but not by a message on its socket. */
  botHungUp(): void {
    const { media } = this.#bot;
    if (media === undefined) this.end({ kind: 'bot-hangup' });
    else media.hangUp();
  }

  /** ARI: the media channel is gone. Without it the call has no sound. */
  mediaGone(): void {
    if (!this.#bot.isGone) void this.#troubles.channelGone();
  }

  /** ARI: the caller pressed a key. Asterisk may report it twice. */
  dtmfReceived({ digit, duration_ms: durationMs, timestamp: atMs }: KeyEvent): void {
    if (this.caller.keyRepeats.isRepeat({ digit, durationMs, atMs })) return;
    this.#bot.tell({ type: 'dtmf', digit, durationMs });
  }

  /** Pauses or resumes the recording. Resolves with its state, or rejects with a `MediaError`. */
  async recording(state: 'pause' | 'resume'): Promise<RecordingState | 'off'> {
    return await this.#bot.record(state);
  }

  /** Starts a transfer, or returns why not. Its progress goes to `onChange` and to the bot. */
  transfer(request: TransferRequest, by: 'bot' | 'operator'): TransferRefusal | undefined {
    const isActive = this.#state === 'active' && this.#ending.reason === undefined;
    return this.#transfers.ask(request, by, this.#bot.media, isActive);
  }

  /** The call's transfers and hold state, as records show them. */
  get transfers(): Pick<CallTransfers, 'summary' | 'outcome' | 'isHeld' | 'by'> {
    return this.#transfers;
  }

  /** The transfer in progress, or the last one. */
  get lastTransfer(): Transfer | undefined {
    return this.#transfers.transfer;
  }

  /** ARI: the caller's channel left our app. It hung up, unless we sent it to the dialplan. */
  callerLeftStasis(): void {
    if (!this.#transfers.callerAway) this.callerHungUp(undefined);
  }

  /** ARI: the caller's phone holds or resumes the call. */
  held(isHeld: boolean): void {
    const { media, isGone } = this.#bot;
    if (media !== undefined && !isGone) this.#transfers.held(isHeld, media);
  }

  /** Runs the call from offer to release. Never rejects. */
  async run(): Promise<CallResult> {
    const release: Undo[] = [];
    try {
      // An outbound dial of ours has its own ring timeout.
      const limitMs = this.#answer.dial === undefined ? this.#settings.setUpMaxMs : undefined;
      await this.#ending.bound(this.#setUp(release), limitMs);
      this.#state = 'active';
      this.#changed('active');
      const { reason } = this.#ending;
      if (reason !== undefined && !this.#bot.isGone) throw new CallEnded(reason.kind);
      await this.#untilEnd();
    } catch (error) {
      if (!(error instanceof CallEnded)) await this.#failed(error);
    }
    return await this.#close(release);
  }

  /** Rejects when the call ends, at the latest after its longest duration. */
  async #untilEnd(): Promise<never> {
    const { answeredAtMs = Date.now() } = this.info;
    const warn = (remainingMs: number) =>
      this.#bot.tell({ type: 'limit', kind: 'max-duration', remainingMs });
    const end = () => this.end({ kind: 'max-duration' });
    const stop = limitDuration(this.#settings, Date.now() - answeredAtMs, warn, end);
    return await this.#ending.ended.finally(stop);
  }

  /** The caller now talks to a second leg: releases the bot and its media. */
  async #letBotGo(reason: EndReason): Promise<void> {
    this.#mark('transferred');
    this.#ending.because(reason);
    const failed = (error: Error) => this.#log.releaseFailed(error);
    await this.#bot.letGo(reason, failed);
    await this.path.removeMedia().catch(failed);
  }

  /** Adopts a bridged transfer: there is no bot and no media of ours. */
  #keep(talk: KeptTalk, release: Undo[]): void {
    this.#bot.absent();
    for (const step of ['joined', 'transferred']) this.#mark(step);
    this.#log.inBackground(Promise.all([this.caller.attend(), this.path.takeOver(release)]), 'attend');
    this.#ending.because(this.#transfers.keep(talk));
  }

  /** The bot hung up or was lost. A transfer goes on without it. */
  #botLeaves(reason: EndReason, queuedMs = 0): void {
    if (!this.#transfers.botLeft(reason)) this.end(reason, queuedMs);
  }

  /** A step failed. If the caller has just hung up, that is the reason, even without its event. */
  async #failed(error: unknown): Promise<void> {
    if (error instanceof AriError && error.status >= 400) await this.caller.mayHaveLeft();
    if (error instanceof UnusableAnswer) this.#ending.refused(UNUSABLE);
    this.end(reasonOfFailure(error as Error));
  }

  async #setUp(release: Undo[]): Promise<void> {
    const { ari, media: pool, talk } = this.#context;
    if (talk !== undefined) return this.#keep(talk, release);
    const parts = {
      ari,
      pool,
      settings: this.#settings,
      ending: this.#ending,
      caller: this.caller,
      troubles: this.#troubles,
      answer: this.#answer,
      bot: this.#bot,
      log: this.#log,
      info: () => this.info,
      onMedia: (event: MediaEvent) => {
        if (!this.#bot.isGone) dispatchMediaEvent(event, this.#mediaHooks);
      },
      answered: () => this.#isAnswered(),
      mark: (step: string) => this.#mark(step),
    };
    await setUp(parts, release);
    if (this.info.adopted?.isHeld) this.held(true);
  }

  #isAnswered(): void {
    this.#answer.given();
    this.#mark('answered');
    this.#changed('answered');
  }

  async #close(release: Undo[]): Promise<CallResult> {
    this.#state = 'closing';
    await this.#answer.settle();
    this.#changed('closing');
    const parts = {
      ending: this.#ending,
      bot: this.#bot,
      transfers: this.#transfers,
      caller: this.caller,
      log: this.#log,
    };
    const released = await releaseCall(parts, release);
    this.#state = 'closed';
    const { answered } = this;
    const sipStatus = answered ? undefined : this.#ending.sipStatus;
    return { ...released, sipStatus, answered, stepsMs: this.stepsMs };
  }

  /** Reports no change after the end: the end is reported last. */
  #changed(change: CallChange): void {
    if (this.#state !== 'closed') this.#context.onChange(this, change);
  }

  #mark(step: string): void {
    if (!this.#steps.has(step)) this.#steps.set(step, Math.round(performance.now() - this.offeredMs));
  }
}
