import type { AriClient } from '../ari/client.ts';
import type { KeyEvent } from '../ari/model.ts';
import { AriError } from '../ari/requests.ts';
import type { Logger } from '../log.ts';
import type { MediaPool } from '../media/pool.ts';
import type { MediaFigures, MediaSession } from '../media/session.ts';
import type { TransferRequest } from '../pipecat/dialect.ts';
import { causeText } from '../q850/causes.ts';
import type { RecordingState } from '../recording/recorder.ts';
import { CallerChannel } from './caller-channel.ts';
import type { Dial } from './dial.ts';
import { limitDuration } from './duration.ts';
import { type EndReason, reasonOfFailure, treatmentOf } from './end-reason.ts';
import { CallEnded, Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import type { KeptTalk } from './kept-talk.ts';
import { playLastWords } from './last-words.ts';
import { dispatchMediaEvent, type MediaEventHooks } from './media-events.ts';
import { type CallIds, MediaPath } from './media-path.ts';
import { MediaTroubles } from './media-troubles.ts';
import { RecordingLog } from './recording-log.ts';
import type { CallChange, CallResult, CallState } from './result.ts';
import { type SetUpContext, setUp, type Undo } from './set-up.ts';
import type { CallSettings } from './settings.ts';
import type { Transfer } from './transfer.ts';
import type { TransferRefusal } from './transfer-reasons.ts';
import { CallTransfers, type TransfersContext } from './transfers.ts';
import { AnswerProof, UNUSABLE, UnusableAnswer } from './usable-answer.ts';

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
  /** For an outbound call of ours, until the callee answers. */
  readonly #dial: Dial | undefined;
  readonly #ending = new Ending();
  readonly #steps = new Map<string, number>();
  readonly #firstBotAudio = Promise.withResolvers<void>();
  readonly #transfers: CallTransfers;
  readonly #troubles: MediaTroubles;
  readonly #mediaHooks: MediaEventHooks;
  #media: MediaSession | undefined;
  #state: CallState = 'setup';
  #answered: boolean;
  readonly #proof: AnswerProof;
  /** The bot was released and the call goes on without it. */
  #botGone = false;
  #figures: MediaFigures | undefined;

  constructor(info: CallInfo, isUp: boolean, settings: CallSettings, context: CallContext, dial?: Dial) {
    this.#info = info;
    this.recordingLog = new RecordingLog(info, {
      changed: () => this.#changed('recording'),
      keep: (mode) => this.#inBackground(context.ari.setVariable(this.caller.id, 'X_RECORD', mode), 'keep'),
    });
    this.path = new MediaPath({ ...context.ids, callerId: info.channelId }, settings.media, context.ari);
    this.#answered = isUp;
    const isJustAnswered = isUp && info.answeredAtMs === undefined && context.talk === undefined;
    this.#proof = new AnswerProof(isJustAnswered && info.direction === 'outbound');
    this.#settings = settings;
    this.#context = context;
    this.#dial = dial;
    this.caller = new CallerChannel({
      ari: context.ari,
      info,
      bridgeId: this.path.bridgeId,
      ending: this.#ending,
      warn: (error, message) => this.#warn(error.message, message),
    });
    this.#troubles = new MediaTroubles({
      ari: context.ari,
      channelId: info.channelId,
      path: this.path,
      ending: this.#ending,
      transport: settings.media.transport,
      limitMs: settings.ariTimeoutMs,
      caller: this.caller,
      end: (reason) => this.end(reason),
      warn: (detail, message) => this.#warn(detail, message),
      media: () => this.#media,
      isLive: () => !this.isEnding && this.#ending.reason === undefined && !this.#botGone,
      isQuiet: () => this.#transfers.isQuiet,
    });
    this.#transfers = new CallTransfers({
      ...context,
      info,
      path: this.path,
      settings: settings.transfer,
      signal: this.#ending.signal,
      channelId: () => this.caller.id,
      end: (reason) => this.end(reason),
      changed: (change) => this.#changed(change),
      letBotGo: (reason) => this.#letBotGo(reason),
    });
    this.#mediaHooks = {
      troubles: this.#troubles,
      recordingLog: this.recordingLog,
      mark: (step) => this.#mark(step),
      firstBotAudio: () => this.#firstBotAudio.resolve(),
      end: (reason) => this.end(reason),
      botLeaves: (reason, queuedMs) => this.#botLeaves(reason, queuedMs),
      dtmf: (digits) => this.caller.dtmf(digits),
      transfer: (request) => void this.transfer(request, 'bot'),
      warn: (detail, message) => this.#warn(detail, message),
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
    return this.#answered ? undefined : this.#dial;
  }

  /** Whether the caller's channel is up. */
  get answered(): boolean {
    return this.#answered;
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
    if (this.#media === undefined) this.end({ kind: 'bot-hangup' });
    else this.#media.hangUp();
  }

  /** ARI: the media channel is gone. Without it the call has no sound. */
  mediaGone(): void {
    if (!this.#botGone) void this.#troubles.channelGone();
  }

  /** ARI: the caller pressed a key. Asterisk may report it twice. */
  dtmfReceived({ digit, duration_ms: durationMs, timestamp: atMs }: KeyEvent): void {
    if (this.caller.keyRepeats.isRepeat({ digit, durationMs, atMs })) return;
    this.#media?.tellBot({ type: 'dtmf', digit, durationMs });
  }

  /** Pauses or resumes the recording. Resolves with its state, or rejects with a `MediaError`. */
  async recording(state: 'pause' | 'resume'): Promise<RecordingState | 'off'> {
    return (await this.#media?.record(state)) ?? 'off';
  }

  /** Starts a transfer, or returns why not. Its progress goes to `onChange` and to the bot. */
  transfer(request: TransferRequest, by: 'bot' | 'operator'): TransferRefusal | undefined {
    const isActive = this.#state === 'active' && this.#ending.reason === undefined;
    return this.#transfers.ask(request, by, this.#media, isActive);
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
    if (this.#media !== undefined && !this.#botGone) this.#transfers.held(isHeld, this.#media);
  }

  /** Runs the call from offer to release. Never rejects. */
  async run(): Promise<CallResult> {
    const release: Undo[] = [];
    try {
      // An outbound dial of ours has its own ring timeout.
      const limitMs = this.#dial === undefined ? this.#settings.setUpMaxMs : undefined;
      await this.#ending.bound(this.#setUp(release), limitMs);
      this.#state = 'active';
      this.#changed('active');
      const { reason } = this.#ending;
      if (reason !== undefined && !this.#botGone) throw new CallEnded(reason.kind);
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
      this.#media?.tellBot({ type: 'limit', kind: 'max-duration', remainingMs });
    const end = () => this.end({ kind: 'max-duration' });
    const stop = limitDuration(this.#settings, Date.now() - answeredAtMs, warn, end);
    return await this.#ending.ended.finally(stop);
  }

  /** The caller now talks to a second leg: releases the bot and its media. */
  async #letBotGo(reason: EndReason): Promise<void> {
    this.#mark('transferred');
    this.#ending.because(reason);
    this.#botGone = true;
    this.#dismissBot(reason, treatmentOf(reason).cause);
    this.#figures = await this.#media?.figures().catch(() => undefined);
    await this.#media?.close().catch((error) => this.#releaseFailed(error));
    await this.path.removeMedia().catch((error) => this.#releaseFailed(error));
  }

  /** Adopts a bridged transfer: there is no bot and no media of ours. */
  #keep(talk: KeptTalk, release: Undo[]): void {
    this.#botGone = true;
    for (const step of ['joined', 'transferred']) this.#mark(step);
    this.#inBackground(Promise.all([this.caller.attend(), this.path.takeOver(release)]), 'attend');
    this.#ending.because(this.#transfers.keep(talk));
  }

  #dismissBot({ kind }: EndReason, cause: number): void {
    this.#media?.dismissBot({ type: 'hangup', reason: kind, cause, causeText: causeText(cause) });
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
    const parts: SetUpContext = {
      ari,
      pool,
      settings: this.#settings,
      ending: this.#ending,
      caller: this.caller,
      troubles: this.#troubles,
      proof: this.#proof,
      dial: this.#dial,
      info: () => this.info,
      isAnswered: () => this.#answered,
      firstBotAudio: this.#firstBotAudio.promise,
      onMedia: (event) => {
        if (!this.#botGone) dispatchMediaEvent(event, this.#mediaHooks);
      },
      opened: (media) => {
        this.#media = media;
      },
      answered: () => this.#isAnswered(),
      mark: (step) => this.#mark(step),
      inBackground: (step, name) => this.#inBackground(step, name),
    };
    await setUp(parts, release);
    if (this.info.adopted?.isHeld) this.held(true);
  }

  #isAnswered(): void {
    this.#answered = true;
    this.#mark('answered');
    this.#changed('answered');
  }

  async #close(release: Undo[]): Promise<CallResult> {
    this.#state = 'closing';
    this.#answered &&= await this.#proof.holds();
    this.#changed('closing');
    const reason = this.#ending.reason ?? { kind: 'setup-failed', detail: 'ended without a reason' };
    const treatment = treatmentOf(reason);
    const media = this.#media;
    if (treatment.drain && media !== undefined) await playLastWords(media, this.#ending.signal);
    this.#ending.abort();
    await this.#transfers.release().catch((error) => this.#releaseFailed(error));
    const cause = await this.#ending.cause(treatment.cause);
    if (!this.#botGone) this.#dismissBot(reason, cause);
    // A caller whom we sent to the dialplan is no longer ours.
    const isElsewhere = reason.kind === 'transferred' && this.#transfers.callerAway;
    if (!isElsewhere && reason.kind !== 'taken-over') await this.caller.leave(treatment);
    const figures = this.#figures ?? (await media?.figures().catch(() => undefined));
    for (const undo of release.reverse()) await undo().catch((error: Error) => this.#releaseFailed(error));
    this.#state = 'closed';
    const sipStatus = this.#answered ? undefined : this.#ending.sipStatus;
    return { reason, treatment, cause, sipStatus, answered: this.#answered, stepsMs: this.stepsMs, figures };
  }

  #releaseFailed(error: Error): void {
    // Refused by our own client: Asterisk's objects now belong to the other process.
    if (this.#ending.reason?.kind !== 'taken-over')
      this.#warn(error.message, 'release failed; left to reconciliation');
  }

  #warn(detail: string | undefined, message: string): void {
    this.#context.log.warn({ callId: this.info.callId, detail }, message);
  }

  /** A step that must not delay the call. Its failure shows in later steps. */
  #inBackground(step: Promise<unknown>, name: string): void {
    step.catch((error: Error) =>
      this.#context.log.debug({ callId: this.info.callId, step: name, error: error.message }, 'step failed'),
    );
  }

  /** Reports no change after the end: the end is reported last. */
  #changed(change: CallChange): void {
    if (this.#state !== 'closed') this.#context.onChange(this, change);
  }

  #mark(step: string): void {
    if (!this.#steps.has(step)) this.#steps.set(step, Math.round(performance.now() - this.offeredMs));
  }
}
