import { setTimeout as delay } from 'node:timers/promises';
import { type AriClient, AriError } from './ari/client.ts';
import { comfortTone } from './audio/tone.ts';
import type { CallInfo } from './call-info.ts';
import { causeText, type EndReason, type EndTreatment, treatmentOf } from './end-reason.ts';
import type { Logger } from './log.ts';
import { Media, type MediaHandlers, type MediaSettings, type MediaShared, NoPortError } from './media.ts';
import { BotConnectError, type BotLimits, type BotTarget } from './pipecat/client.ts';
import { NativeDialect } from './pipecat/native.ts';

/** Time limits and choices of a call, from the configuration. */
export interface CallSettings {
  readonly media: MediaSettings;
  readonly botTarget: BotTarget;
  readonly botLimits: BotLimits;
  readonly botConnectMs: number;
  readonly botConnectTries: number;
  readonly botReconnectMs: number;
  readonly answerOn: 'connected' | 'first-audio';
  readonly firstAudioMs: number;
  readonly ariTimeoutMs: number;
  readonly maxDurationMs: number;
}

/** What a call works with. */
export interface CallContext {
  readonly ari: AriClient;
  readonly shared: MediaShared;
  readonly log: Logger;
}

/** How a call went, for the log, the metrics and the status callback. */
export interface CallResult {
  readonly reason: EndReason;
  readonly treatment: EndTreatment;
  /** Q.850 cause: the caller's where the caller hung up, ours otherwise. */
  readonly cause: number;
  readonly answered: boolean;
  /** Milliseconds from the offer (StasisStart) to each step that was reached. */
  readonly stepsMs: Readonly<Record<string, number>>;
  readonly figures: ReturnType<Media['figures']> | undefined;
}

export type CallState = 'setup' | 'active' | 'closing' | 'closed';

/** The ids of what we make in Asterisk for a channel: chosen by us, so that events and leftovers are recognised. */
export const BRIDGE_ID_PREFIX = 'pcb-';
export const MEDIA_ID_PREFIX = 'pcm-';

/** Pause between two tries to reach a bot. */
const RETRY_MS = 250;
/** The cause of a caller's hang-up comes right behind the hang-up itself, if at all. */
const CAUSE_WAIT_MS = 200;
/** Over the length of what is queued, how long the last words may take to leave. */
const DRAIN_SLACK_MS = 1_000;
/** From our last packet to the hang-up. */
const TAIL_MS = 100;
/** While a lost bot is sought the caller hears a soft tone this often. */
const COMFORT_EVERY_MS = 2_000;
const DTMF_TONE_MS = 120;
const DTMF_PAUSE_MS = 80;

/** Thrown inside a call's steps when the call has ended meanwhile. */
class CallEnded extends Error {}

/** WebSocket close code of a bot that is done (RFC 6455 section 7.4.1). */
const NORMAL_CLOSE = 1000;

/**
 * One call: owns everything that it opens, in `run()`. Everyone else may say why it should end (`end`) or what ARI told of
 * it; the first reason wins.
 */
export class Call {
  readonly info: CallInfo;
  readonly bridgeId: string;
  readonly mediaChannelId: string;
  readonly offeredMs: number;
  readonly #settings: CallSettings;
  readonly #context: CallContext;
  readonly #dialect: NativeDialect;
  readonly #abort = new AbortController();
  readonly #mediaInStasis = Promise.withResolvers<void>();
  readonly #causeKnown = Promise.withResolvers<void>();
  readonly #steps = new Map<string, number>();
  readonly #firstBotAudio = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<never>();
  #media: Media | undefined;
  #state: CallState = 'setup';
  #reason: EndReason | undefined;
  #cause: number | undefined;
  #callerGone = false;
  #answered: boolean;
  /** Until when a lost bot is sought. */
  #seekUntilMs = Number.NEGATIVE_INFINITY;
  /** Settled while no lost bot is being sought. */
  #botBack = Promise.resolve();
  /** The bot's keys leave one message after the other: Asterisk plays them in the order of the requests. */
  #keysSent = Promise.resolve();

  constructor(info: CallInfo, isUp: boolean, settings: CallSettings, context: CallContext) {
    this.info = info;
    this.bridgeId = `${BRIDGE_ID_PREFIX}${info.channelId}`;
    this.mediaChannelId = `${MEDIA_ID_PREFIX}${info.channelId}`;
    this.#answered = isUp;
    this.#settings = settings;
    this.#context = context;
    this.#dialect = new NativeDialect(info.encoding, info.sampleRate);
    this.offeredMs = context.shared.now();
    // Nobody may be waiting when the call ends: that is no unhandled rejection.
    this.#ended.promise.catch(() => {});
  }

  get state(): CallState {
    return this.#state;
  }

  /** Whether its bot is connected. */
  get hasBot(): boolean {
    return this.#media?.hasBot ?? false;
  }

  /** Says why the call should end. The first reason counts; a later one can still cut short the playing of last words. */
  end(reason: EndReason): void {
    if (reason.kind === 'caller-hangup') this.#callerGone = true;
    this.#reason ??= reason;
    const { drain, by } = treatmentOf(reason);
    // A bot that speaks and hangs up before the answer is still heard: the set-up goes on, and then the words are played.
    const saysGoodbye = drain && by === 'bot' && (this.#media?.queuedMs ?? 0) > 0;
    if (this.#state === 'setup' && saysGoodbye) return;
    this.#ended.reject(new CallEnded(reason.kind));
    if (!drain) this.#abort.abort();
  }

  /** ARI: the caller's channel ended, or is being hung up, with a Q.850 cause. */
  callerHungUp(cause: number | undefined): void {
    if (cause !== undefined && cause > 0) {
      this.#cause ??= cause;
      this.#causeKnown.resolve();
    }
    this.end({ kind: 'caller-hangup' });
  }

  /** ARI: the media channel has entered Stasis, and can be put into the bridge. */
  mediaEntered(): void {
    this.#mediaInStasis.resolve();
  }

  /** ARI: the media channel is gone. Without it the call has no sound. */
  mediaGone(): void {
    this.end({ kind: 'media-failed', detail: 'the media channel ended' });
  }

  /** ARI: the caller pressed a key. */
  dtmfReceived(digit: string, durationMs: number): void {
    this.#media?.tellBot(this.#dialect.dtmf(digit, durationMs));
  }

  /** Runs the call from offer to release. Never rejects. */
  async run(): Promise<CallResult> {
    const release: (() => Promise<unknown>)[] = [];
    try {
      await this.#setUp(release);
      this.#state = 'active';
      if (this.#reason !== undefined) throw new CallEnded(this.#reason.kind);
      const limit = setTimeout(() => this.end({ kind: 'max-duration' }), this.#settings.maxDurationMs);
      await this.#ended.promise.finally(() => clearTimeout(limit));
    } catch (error) {
      if (!(error instanceof CallEnded)) await this.#failed(error);
    }
    return await this.#close(release);
  }

  /** A step failed. A caller who has just left makes steps fail too, before the event that tells of it: that reason is the true one. */
  async #failed(error: unknown): Promise<void> {
    if (error instanceof AriError && error.status >= 400) {
      await Promise.race([this.#ended.promise.catch(() => {}), delay(CAUSE_WAIT_MS)]);
    }
    this.end(reasonOf(error));
  }

  /** Acquires in order; what is to be undone is pushed to `release` before it is asked for. */
  async #setUp(release: (() => Promise<unknown>)[]): Promise<void> {
    const { ari, shared } = this.#context;
    const { channelId } = this.info;
    const media = await Media.open(this.#settings.media, shared, this.#mediaHandlers(), this.#dialect);
    this.#media = media;
    release.push(() => media.close());
    this.#mark('rtpPort');
    const ringing = this.#answered ? undefined : ari.ring(channelId);
    if (ringing !== undefined) this.#inBackground(ringing, 'ring');
    this.#inBackground(ari.subscribe(channelId), 'subscribe');
    const bot = this.#reachBot(media);
    const path = this.#buildMediaPath(media, release);
    // A ringing tone that overtakes the answer would stay.
    await this.#orEnd(Promise.all([bot, path, ringing?.catch(() => {})]));
    await this.#orEnd(this.#botBack);
    if (!this.#answered) await this.#answer(media);
    await this.#orEnd(ari.addToBridge(this.bridgeId, channelId));
    this.#mark('joined');
    media.startRelay();
    media.tellBot(this.#dialect.answered());
  }

  async #answer(media: Media): Promise<void> {
    if (this.#settings.answerOn === 'first-audio' && !media.botHeard) {
      const limit = delay(this.#settings.firstAudioMs, undefined, { signal: this.#abort.signal }).catch(
        () => {},
      );
      await this.#orEnd(Promise.race([this.#firstBotAudio.promise, limit]));
    }
    await this.#orEnd(this.#context.ari.answer(this.info.channelId));
    this.#answered = true;
    this.#mark('answered');
  }

  /** The mixing bridge and the media channel, joined. They are asked for at once: neither needs the other. */
  async #buildMediaPath(media: Media, release: (() => Promise<unknown>)[]): Promise<void> {
    const { ari } = this.#context;
    const externalHost = `${this.#settings.media.address}:${media.rtpPort}`;
    const format = this.#settings.media.rtpEncoding === 'pcma' ? 'alaw' : 'ulaw';
    const bridge = ari.createBridge(this.bridgeId).then(() => this.#mark('bridge'));
    // What is under way is waited for before it is undone, or it would come to be after its removal.
    release.push(() => bridge.catch(() => {}).then(() => ari.destroyBridge(this.bridgeId)));
    const channel = ari.createExternalMedia(this.mediaChannelId, externalHost, format);
    release.push(() => channel.catch(() => {}).then(() => ari.hangUp(this.mediaChannelId, 16)));
    const [, address] = await Promise.all([bridge, channel]);
    await media.connectRtp(address.address, address.port);
    const limit = AbortSignal.timeout(this.#settings.ariTimeoutMs);
    await abortable(this.#mediaInStasis.promise, limit, 'the media channel did not enter Stasis in time');
    this.#mark('mediaChannel');
    await ari.addToBridge(this.bridgeId, this.mediaChannelId);
  }

  /** Connects the bot within the tries and the time allowed, and sends `start`. */
  async #reachBot(media: Media): Promise<void> {
    const { botConnectMs, botConnectTries } = this.#settings;
    await this.#tryBot(media, botConnectMs, botConnectTries);
    media.tellBot(this.#dialect.start(this.info));
    this.#mark('bot');
  }

  async #tryBot(media: Media, withinMs: number, tries: number): Promise<void> {
    const { botTarget, botLimits } = this.#settings;
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(withinMs)]);
    for (let attempt = 1; ; attempt++) {
      try {
        await media.connectBot(botTarget, botLimits, signal);
        return;
      } catch (error) {
        const detail = (error as Error).message;
        this.#context.log.debug({ callId: this.info.callId, attempt, detail }, 'bot not reached');
        if (signal.aborted || attempt >= tries) throw error;
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
        if (signal.aborted) throw error;
      }
    }
  }

  #mediaHandlers(): MediaHandlers {
    return {
      onBotHangup: (immediate) => this.end({ kind: immediate ? 'bot-hangup-immediate' : 'bot-hangup' }),
      onBotDtmf: (digits) => {
        const { ari } = this.#context;
        const send = () => ari.sendDtmf(this.info.channelId, digits, DTMF_TONE_MS, DTMF_PAUSE_MS);
        this.#keysSent = this.#keysSent.then(send, send);
        this.#inBackground(this.#keysSent, 'dtmf');
      },
      onBotTransfer: () => this.#media?.tellBot(this.#dialect.transferFailed('not-supported')),
      onFirstBotAudio: () => {
        this.#mark('firstBotAudio');
        this.#firstBotAudio.resolve();
      },
      onFirstCallerAudio: () => this.#mark('firstCallerAudio'),
      onBotClosed: (code, reason) => this.#botClosed(code, reason),
      onBotMisbehaved: () => this.end({ kind: 'bot-misbehaved', detail: 'too many bad messages in a row' }),
      onMediaTimeout: () => this.end({ kind: 'media-timeout' }),
    };
  }

  #botClosed(code: number, reason: string): void {
    if (this.#reason !== undefined) return;
    if (code === NORMAL_CLOSE) return this.end({ kind: 'bot-closed' });
    const detail = `closed with ${code}${reason === '' ? '' : `: ${reason}`}`;
    const { botReconnectMs } = this.#settings;
    const nowMs = this.#context.shared.now();
    // A bot that comes back only to fail again gets no time beyond that of its first loss, and no try without a pause.
    const isAgain = nowMs <= this.#seekUntilMs + botReconnectMs;
    if (!isAgain) this.#seekUntilMs = nowMs + botReconnectMs;
    const withinMs = Math.ceil(this.#seekUntilMs - nowMs);
    if (withinMs <= 0) return this.end({ kind: 'bot-lost', detail });
    this.#botBack = this.#reconnect(detail, withinMs, isAgain ? RETRY_MS : 0);
  }

  /** The bot was lost: a new connection within the time allowed, or the end. Never rejects. */
  async #reconnect(detail: string, withinMs: number, pauseMs: number): Promise<void> {
    const media = this.#media;
    if (media === undefined) return;
    this.#context.log.warn({ callId: this.info.callId, detail }, 'bot lost, trying again');
    const tone = comfortTone(this.#settings.media.rtpEncoding);
    const comfort = setInterval(() => {
      if (this.#state === 'active' && media.queuedMs === 0) media.play(tone);
    }, COMFORT_EVERY_MS);
    try {
      await delay(pauseMs, undefined, { signal: this.#abort.signal });
      await this.#tryBot(media, withinMs, Number.POSITIVE_INFINITY);
      media.tellBot(this.#dialect.start({ ...this.info, reconnected: true }));
      if (this.#state === 'active') media.tellBot(this.#dialect.answered());
    } catch (error) {
      this.end({ kind: 'bot-lost', detail: `${detail}, then: ${(error as Error).message}` });
    } finally {
      clearInterval(comfort);
    }
  }

  async #close(release: (() => Promise<unknown>)[]): Promise<CallResult> {
    this.#state = 'closing';
    const reason = this.#reason ?? { kind: 'setup-failed', detail: 'ended without a reason' };
    const treatment = treatmentOf(reason);
    const media = this.#media;
    if (treatment.drain && media !== undefined) await this.#drain(media);
    this.#abort.abort();
    if (this.#callerGone && this.#cause === undefined)
      await Promise.race([this.#causeKnown.promise, delay(CAUSE_WAIT_MS)]);
    const cause = this.#cause ?? treatment.cause;
    media?.dismissBot(this.#dialect.hangup(reason.kind, cause, causeText(cause)));
    await this.#giveUpCaller(treatment);
    const figures = media?.figures();
    for (const undo of release.reverse()) await undo().catch((error: Error) => this.#releaseFailed(error));
    this.#state = 'closed';
    const stepsMs = Object.fromEntries(this.#steps);
    return { reason, treatment, cause, answered: this.#answered, stepsMs, figures };
  }

  /** The last words: until they are played, or the caller is gone, or they should have been played long ago. */
  async #drain(media: Media): Promise<void> {
    const limitMs = media.queuedMs + DRAIN_SLACK_MS;
    const limit = delay(limitMs, undefined, { signal: this.#abort.signal }).catch(() => {});
    await Promise.race([media.drain(), limit]);
    // The last packet has left us, but Asterisk has yet to pass it on.
    await delay(TAIL_MS, undefined, { signal: this.#abort.signal }).catch(() => {});
  }

  /** Hangs the caller up, or gives them back to the dialplan, which has a fallback. */
  async #giveUpCaller(treatment: EndTreatment): Promise<void> {
    if (this.#callerGone) return;
    const { ari } = this.#context;
    const { channelId, direction } = this.info;
    try {
      if (treatment.fallback !== undefined && direction === 'inbound') {
        await ari.setVariable(channelId, 'PIPECAT_STATUS', treatment.fallback);
        await ari.continueInDialplan(channelId);
      } else {
        await ari.hangUp(channelId, treatment.cause);
      }
    } catch (error) {
      if (error instanceof AriError && error.status === 404) return;
      this.#releaseFailed(error as Error);
      await ari.hangUp(channelId, treatment.cause).catch(() => {});
    }
  }

  #releaseFailed(error: Error): void {
    this.#context.log.warn(
      { callId: this.info.callId, error: error.message },
      'release failed; left to reconciliation',
    );
  }

  /** A step that must not hold up the call, and whose failure shows in what follows. */
  #inBackground(step: Promise<unknown>, name: string): void {
    step.catch((error: Error) =>
      this.#context.log.debug({ callId: this.info.callId, step: name, error: error.message }, 'step failed'),
    );
  }

  /** The step's result, or a throw as soon as the call ends. */
  #orEnd<T>(step: Promise<T>): Promise<T> {
    return Promise.race([this.#ended.promise, step]);
  }

  #mark(step: string): void {
    if (!this.#steps.has(step))
      this.#steps.set(step, Math.round(this.#context.shared.now() - this.offeredMs));
  }
}

async function abortable(step: Promise<void>, signal: AbortSignal, detail: string): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(new Error(detail));
  signal.addEventListener('abort', onAbort, { once: true });
  await Promise.race([step, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort));
}

function reasonOf(error: unknown): EndReason {
  const detail = (error as Error).message;
  if (error instanceof BotConnectError) return { kind: 'bot-unavailable', detail };
  if (error instanceof NoPortError) return { kind: 'media-failed', detail };
  return { kind: 'setup-failed', detail };
}
