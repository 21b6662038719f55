import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { AriChannel } from '../ari/model.ts';
import type { AudioFormat } from '../audio/format.ts';
import { botLadder } from '../config/bot-ladder.ts';
import { botName, expandBotUrl } from '../config/bot-url.ts';
import type { Config } from '../config/environment.ts';
import type { MediaSettings } from '../media/session.ts';
import type { StartFields } from '../pipecat/dialect.ts';
import { startQuery } from '../pipecat/native.ts';
import { recordingName } from '../recording/files.ts';
import type { RecordingSettings } from '../recording/recorder.ts';
import { MEGABYTE } from '../units/units.ts';
import type { DurationLimits } from './duration.ts';
import { type CallDefaults, type CallInfo, describeCall, providerName } from './info.ts';
import type { TransferSettings } from './transfers.ts';

/** Consecutive requests to Asterisk during a set-up, with one in reserve. */
const SET_UP_REQUESTS = 6;

/** Time limits and options of a call, from the configuration. */
export interface CallSettings extends DurationLimits {
  readonly media: MediaSettings;
  readonly answerOn: 'connected' | 'first-audio';
  readonly firstAudioMs: number;
  /** Whether a bot that is not heard within `firstAudioMs` has failed. */
  readonly speaksFirst: boolean;
  readonly ariTimeoutMs: number;
  /** For the whole set-up of a call that we did not dial. */
  readonly setUpMaxMs: number;
  readonly transfer: TransferSettings;
}

/** A call's values if neither the call nor its provider sets them. */
export function callDefaults(config: Config): CallDefaults {
  return {
    encoding: config.DEFAULT_ENCODING,
    sampleRate: config.DEFAULT_SAMPLE_RATE,
    transport: config.MEDIA_TRANSPORT,
    framing: config.PIPECAT_FRAMING,
    dialect: config.PIPECAT_DIALECT,
  };
}

/** One call's settings. A provider's file overrides the configuration. */
export function callSettings(config: Config, info: CallInfo): CallSettings {
  const provider = config.providers.get(info.sipProvider);
  const isAdopted = info.adopted?.metBot ?? false;
  const url = provider?.pipecatUrl[info.direction] ?? config.PIPECAT_URL;
  const ladder = botLadder(config, provider?.ladder);
  const { firstAudioMs, speaksFirst, reconnectMs } = ladder;
  // An adopted call's bot is reconnected: the limit of a lost bot applies.
  const connectMs = Math.max(ladder.connectMs, isAdopted ? reconnectMs : 0);
  return {
    media: {
      transport: info.transport,
      address: config.RTP_ADDRESS,
      line: lineFormat(info),
      dialect: info.dialect,
      start: startFields(info),
      startOnAnswer: false,
      isResumed: isAdopted,
      botHasActed: isAdopted,
      bot: {
        name: botName(url),
        target: {
          url: expandBotUrl(url, info),
          query: startQuery(info),
          authorization: provider?.pipecatAuthorization ?? config.PIPECAT_AUTHORIZATION,
          origin: provider?.pipecatOrigin ?? config.PIPECAT_ORIGIN,
          ca: provider?.pipecatCa ?? config.PIPECAT_CA,
        },
        limits: {
          maxMessageBytes: config.BOT_MAX_MESSAGE_BYTES,
          sendBufferBytes: config.BOT_SEND_BUFFER_BYTES,
          pingMs: config.BOT_PING_MS,
          hungMs: ladder.hungMs,
        },
        connectMs,
        connectTries: isAdopted ? Number.POSITIVE_INFINITY : ladder.connectTries,
        reconnectMs,
        reconnectsMax: config.BOT_RECONNECTS_MAX,
      },
      prebufferMs: config.PLAYOUT_PREBUFFER_MS,
      queueMs: config.PLAYOUT_QUEUE_MS,
      trailingSilenceMs: config.DRAIN_SILENCE_MS,
      concealment: config.CONCEALMENT,
      bargeInHoldMs: provider?.bargeInHoldMs ?? 0,
      recording: recordingSettings(config, info),
      maxBadMessages: config.BOT_MAX_BAD_MESSAGES,
      endSilenceMs: config.BOT_END_SILENCE_MS,
      refusalMs: config.BOT_REFUSAL_MS,
      firstAudioMs,
      speaksFirst,
      comfortMusic: ladder.comfortMusic,
      budget: {
        messagesPerSecond: config.BOT_MESSAGES_PER_SECOND,
        controlsPerSecond: config.BOT_CONTROLS_PER_SECOND,
        ordersPerSecond: config.BOT_ORDERS_PER_SECOND,
        bytesPerSecond: config.BOT_BYTES_PER_SECOND,
        burstS: config.BOT_BURST_S,
        overMs: config.BOT_OVER_BUDGET_MS,
      },
      mediaTimeoutMs: config.MEDIA_TIMEOUT_MS,
      silenceLimitMs: config.SILENCE_LIMIT_S * 1000,
    },
    answerOn: ladder.answerOn,
    firstAudioMs,
    speaksFirst,
    ariTimeoutMs: config.ARI_TIMEOUT_MS,
    // The bot may be lost and reconnected during the set-up too, and a silent one is connected
    // twice.
    setUpMaxMs: 2 * (connectMs + firstAudioMs) + reconnectMs + SET_UP_REQUESTS * config.ARI_TIMEOUT_MS,
    maxDurationMs: info.maxDurationMs ?? config.MAX_CALL_DURATION_S * 1000,
    warningMs: config.MAX_DURATION_WARNING_S * 1000,
    transfer: {
      providers: config.providers,
      contexts: config.TRANSFER_CONTEXTS,
      ringTimeoutMs: config.TRANSFER_RING_S * 1000,
      ariTimeoutMs: config.ARI_TIMEOUT_MS,
    },
  };
}

function recordingSettings(config: Config, { recording, adopted }: CallInfo): RecordingSettings | undefined {
  if (recording === 'off') return undefined;
  return {
    path: join(config.RECORDINGS_DIR, recordingName(new Date(), randomBytes(8).toString('hex'))),
    paused: recording === 'paused' || adopted?.isRecordingPaused === true,
    maxBytes: config.RECORDING_MAX_MB * MEGABYTE,
  };
}

/**
 * Audio format on Asterisk's side. RTP carries G.711 only: a bot with linear audio gets it
 * converted. Asterisk's WebSocket carries any format unchanged.
 */
function lineFormat({ transport, encoding, sampleRate }: CallInfo): AudioFormat {
  if (transport === 'rtp' && encoding === 'pcm16') return { encoding: 'pcmu', sampleRate: 8_000 };
  return { encoding, sampleRate };
}

/** The fields that the bot gets in `start`. */
function startFields({
  callbackUrl: _url,
  requestedCallId: _requested,
  dialledAtMs: _dialledAtMs,
  answeredAtMs: _answeredAtMs,
  remarks: _remarks,
  transport: _transport,
  recording: _recording,
  dialect: _dialect,
  maxDurationMs: _maxDurationMs,
  adopted: _adopted,
  ...fields
}: CallInfo): StartFields {
  return fields;
}

/** An external client's dial that became a call. */
export interface AnsweredDial {
  /** The dialled number, if Asterisk reported it. */
  readonly dialled: string;
  /** Unix time, ms. */
  readonly sinceMs: number;
}

/**
 * The facts of a channel's call. `dial` is set for an external client's dial. `mayHave` as in
 * {@link CallSource}.
 */
export function callInfo(
  config: Config,
  channel: AriChannel,
  appArgs: readonly string[],
  variables: Readonly<Record<string, string>>,
  dial: AnsweredDial | undefined,
  mayHave?: (id: string) => boolean,
): CallInfo {
  const info = describeCall({
    channel,
    appArgs,
    variables: Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== '')),
    wasDialled: dial !== undefined,
    dialled: dial?.dialled,
    dialledAtMs: dial?.sinceMs,
    provider: config.providers.get(providerName(channel) ?? ''),
    defaults: callDefaults(config),
    newId: randomUUID,
    ...(mayHave === undefined ? {} : { mayHave }),
  });
  return info.direction === 'inbound' ? withAllowedCallback(info, config) : info;
}

/**
 * Drops an inbound call's callback URL without CALLBACK_HOSTS: the caller must not choose where the
 * bridge sends requests.
 */
function withAllowedCallback(info: CallInfo, { CALLBACK_HOSTS }: Config): CallInfo {
  if (info.callbackUrl === undefined || CALLBACK_HOSTS.length > 0) return info;
  const remark = 'X_CALLBACK_URL: taken of calls that come in only where CALLBACK_HOSTS names the host';
  return { ...info, callbackUrl: undefined, remarks: [...info.remarks, remark] };
}
