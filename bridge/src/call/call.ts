import { setTimeout as delay } from 'node:timers/promises';
import { type AriClient, AriError } from '../ari/client.ts';
import type { KeyEvent } from '../ari/model.ts';
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
  /** Its caller has been handed over by a process before. */
  readonly talk?: KeptTalk | undefined;
  /** What the ids of its things in Asterisk begin with: the process, and which of its calls it is. */
  readonly ids: Pick<CallIds, 'instance' | 'number'>;
  /** Hears of every change that others are told of. */
  readonly onChange: (call: Call, change: CallChange) => void;
}

/**
 * One call: owns everything that it opens, in `run()`. Everyone else may say why it should end (`end`) or what ARI told of
 * it; the first reason wins.
 */
export class Call {
  readonly path: MediaPath;
  readonly caller: CallerChannel;
  /** When it was offered: on the monotonic clock, and in Unix time, ms. */
  readonly offeredMs: number;
  readonly offeredAtMs = Date.now();
  readonly recordingLog: RecordingLog;
  #info: CallInfo;
  readonly #settings: CallSettings;
  readonly #context: CallContext;
  /** A call that we place: until the callee answers. */
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
  /** The bot was let go while the call goes on. */
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

  /** The record of a call that was adopted was found after the call had begun: more is known of it. */
  foundRecord(info: CallInfo): void {
    this.#info = info;
  }

  get state(): CallState {
    return this.#state;
  }

  /** Whether its end is decided; last words may still be played. */
  get isEnding(): boolean {
    return this.#ending.isOver || this.#state === 'closing' || this.#state === 'closed';
  }

  /** Milliseconds from the offer to each step that was reached. */
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
   * Says why the call should end, and how much of the bot's audio the caller has not heard yet, ms. The first reason counts; a later
   * one can still cut short the playing of last words.
   */
  end(reason: EndReason, queuedMs = 0): void {
    const { drain, by } = treatmentOf(reason);
    // A bot that speaks and hangs up before the answer is still heard: the set-up goes on, and then the words are played.
    const saysGoodbye = drain && by === 'bot' && queuedMs > 0;
    if (this.#state === 'setup' && saysGoodbye) this.#ending.because(reason);
    else this.#ending.end(reason);
  }

  /** ARI: the caller's channel ended, or is being hung up, with a Q.850 cause, and the SIP status of a callee who refused. */
  callerHungUp(cause: number | undefined, sipStatus?: number, why?: EndReason): void {
    this.#ending.callerWent(cause, sipStatus);
    this.end(why ?? { kind: this.pendingDial === undefined ? 'caller-hangup' : 'not-answered' });
  }

  /** The bot hangs up by other means than a message on its socket. */
  botHungUp(): void {
    if (this.#media === undefined) this.end({ kind: 'bot-hangup' });
    else this.#media.hangUp();
  }

  /** ARI: the media channel is gone. Without it the call has no sound. */
  mediaGone(): void {
    if (!this.#botGone) void this.#troubles.channelGone();
  }

  /** ARI: the caller pressed a key, which may be told twice. */
  dtmfReceived({ digit, duration_ms: durationMs, timestamp: atMs }: KeyEvent): void {
    if (this.caller.keyRepeats.isRepeat({ digit, durationMs, atMs })) return;
    this.#media?.tellBot({ type: 'dtmf', digit, durationMs });
  }

  /** Pauses or resumes the recording; resolves with its state then, `off` where the call is not recorded. Rejects with a `MediaError`. */
  async recording(state: 'pause' | 'resume'): Promise<RecordingState | 'off'> {
    return (await this.#media?.record(state)) ?? 'off';
  }

  /** Hands the caller over. Returns why not, or undefined where it is under way: how it goes is told by `onChange` and to the bot. */
  transfer(request: TransferRequest, by: 'bot' | 'operator'): TransferRefusal | undefined {
    const isActive = this.#state === 'active' && this.#ending.reason === undefined;
    return this.#transfers.ask(request, by, this.#media, isActive);
  }

  /** Its transfers, and its being held, as records show them. */
  get transfers(): Pick<CallTransfers, 'summary' | 'outcome' | 'isHeld' | 'by'> {
    return this.#transfers;
  }

  /** The call's transfer, or its last one. */
  get lastTransfer(): Transfer | undefined {
    return this.#transfers.transfer;
  }

  /** ARI: the caller's channel has left our app: hung up, unless we sent it elsewhere. */
  callerLeftStasis(): void {
    if (!this.#transfers.callerAway) this.callerHungUp(undefined);
  }

  /** ARI: the caller's phone holds the call, or goes on with it. */
  held(isHeld: boolean): void {
    if (this.#media !== undefined && !this.#botGone) this.#transfers.held(isHeld, this.#media);
  }

  /** Runs the call from offer to release. Never rejects. */
  async run(): Promise<CallResult> {
    const release: (() => Promise<unknown>)[] = [];
    try {
      // A phone of ours rings as long as it was asked to.
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

  /** Rejects when the call ends: at the latest when it has lasted as long as it may. */
  async #untilEnd(): Promise<never> {
    const { answeredAtMs = Date.now() } = this.info;
    const warn = (remainingMs: number) =>
      this.#media?.tellBot({ type: 'limit', kind: 'max-duration', remainingMs });
    const end = () => this.end({ kind: 'max-duration' });
    const stop = limitDuration(this.#settings, Date.now() - answeredAtMs, warn, end);
    return await this.#ending.ended.finally(stop);
  }

  /** The caller talks to somebody else from here on. */
  async #letBotGo(reason: EndReason): Promise<void> {
    this.#mark('transferred');
    this.#ending.because(reason);
    this.#botGone = true;
    this.#dismissBot(reason, treatmentOf(reason).cause);
    this.#figures = await this.#media?.figures().catch(() => undefined);
    await this.#media?.close().catch((error) => this.#releaseFailed(error));
    await this.path.removeMedia().catch((error) => this.#releaseFailed(error));
  }

  /** Two talk since a process before: there is no bot, and no audio of ours. */
  #keep(talk: KeptTalk, release: (() => Promise<unknown>)[]): void {
    this.#botGone = true;
    for (const step of ['joined', 'transferred']) this.#mark(step);
    this.#inBackground(Promise.all([this.caller.attend(), this.path.takeOver(release)]), 'attend');
    this.#ending.because(this.#transfers.keep(talk));
  }

  #dismissBot({ kind }: EndReason, cause: number): void {
    this.#media?.dismissBot({ type: 'hangup', reason: kind, cause, causeText: causeText(cause) });
  }

  /** The bot is done, or lost. A transfer goes on without it. */
  #botLeaves(reason: EndReason, queuedMs = 0): void {
    if (!this.#transfers.botLeft(reason)) this.end(reason, queuedMs);
  }

  /** A step failed. A caller who has just left makes steps fail too, before the event that tells of it, or without: that reason is the true one. */
  async #failed(error: unknown): Promise<void> {
    if (error instanceof AriError && error.status >= 400) await this.caller.mayHaveLeft();
    if (error instanceof UnusableAnswer) this.#ending.refused(UNUSABLE);
    this.end(reasonOfFailure(error as Error));
  }

  /** Acquires in order; what is to be undone is pushed to `release` before it is asked for. */
  async #setUp(release: (() => Promise<unknown>)[]): Promise<void> {
    const { ari, media: pool, talk } = this.#context;
    if (talk !== undefined) return this.#keep(talk, release);
    const { channelId } = this.info;
    const usable = this.#proof.isGiven ? undefined : this.#proof.demand(ari, channelId);
    // A call that fails sooner asks at its end.
    usable?.catch(() => {});
    const opening = pool.open(this.#settings.media, (event) => {
      if (!this.#botGone) dispatchMediaEvent(event, this.#mediaHooks);
    });
    const media = await this.#ending.openOrEnd(opening);
    this.#media = media;
    release.push(() => media.close());
    this.#mark('media');
    const callee = this.#dial?.run(channelId, this.#ending.signal).then(() => this.#isAnswered());
    const ringing = this.#answered || callee !== undefined ? undefined : ari.ring(channelId);
    if (ringing !== undefined) this.#inBackground(ringing, 'ring');
    this.#inBackground(this.caller.attend(), 'attend');
    const bot = this.#troubles.survive(() => media.connectBot());
    const built = this.#troubles.buildPath(media, (step) => this.#mark(step), release);
    // Who was in the call already hears that it goes on while the bot is sought.
    const isBack = this.#answered && this.info.adopted !== undefined;
    const path = built.then(() => (isBack ? this.#join(media) : undefined));
    // A ringing tone that overtakes the answer would stay.
    await this.#ending.orEnd(Promise.all([bot, path, callee, usable, ringing?.catch(() => {})]));
    await this.#ending.orEnd(this.#troubles.survive(() => media.botSettled()));
    if (!this.#answered) await this.#answer();
    if (!isBack) await this.#join(media);
    if (this.info.adopted?.isHeld) this.held(true);
  }

  async #join(media: MediaSession): Promise<void> {
    await this.caller.join();
    this.#mark('joined');
    await this.#ending.orEnd(this.#troubles.settled());
    media.startRelay();
  }

  async #answer(): Promise<void> {
    if (this.#settings.answerOn === 'first-audio') {
      const limit = delay(this.#settings.firstAudioMs, undefined, { signal: this.#ending.signal }).catch(
        () => {},
      );
      await this.#ending.orEnd(Promise.race([this.#firstBotAudio.promise, limit]));
    }
    await this.#ending.orEnd(this.#troubles.settled().then(() => this.caller.answer()));
    this.#isAnswered();
  }

  #isAnswered(): void {
    this.#answered = true;
    this.#mark('answered');
    this.#changed('answered');
  }

  async #close(release: (() => Promise<unknown>)[]): Promise<CallResult> {
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
    // In the dialplan, where we sent them, they are no longer ours.
    const isElsewhere = reason.kind === 'transferred' && this.#transfers.callerAway;
    if (!isElsewhere && reason.kind !== 'taken-over') await this.caller.leave(treatment);
    const figures = this.#figures ?? (await media?.figures().catch(() => undefined));
    for (const undo of release.reverse()) await undo().catch((error: Error) => this.#releaseFailed(error));
    this.#state = 'closed';
    const sipStatus = this.#answered ? undefined : this.#ending.sipStatus;
    return { reason, treatment, cause, sipStatus, answered: this.#answered, stepsMs: this.stepsMs, figures };
  }

  #releaseFailed(error: Error): void {
    // Refused by our own client: what the call had in Asterisk is its successor's.
    if (this.#ending.reason?.kind !== 'taken-over')
      this.#warn(error.message, 'release failed; left to reconciliation');
  }

  #warn(detail: string | undefined, message: string): void {
    this.#context.log.warn({ callId: this.info.callId, detail }, message);
  }

  /** A step that must not hold up the call, and whose failure shows in what follows. */
  #inBackground(step: Promise<unknown>, name: string): void {
    step.catch((error: Error) =>
      this.#context.log.debug({ callId: this.info.callId, step: name, error: error.message }, 'step failed'),
    );
  }

  /** Nothing after its end: that is told last. */
  #changed(change: CallChange): void {
    if (this.#state !== 'closed') this.#context.onChange(this, change);
  }

  #mark(step: string): void {
    if (!this.#steps.has(step)) this.#steps.set(step, Math.round(performance.now() - this.offeredMs));
  }
}
