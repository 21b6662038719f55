import { treatmentOf } from '../call/end-reason.ts';
import type { CallInfo } from '../call/info.ts';
import { callOutcome, type Outcome } from '../call/outcome.ts';
import type { CallResult } from '../call/result.ts';
import { URL_MAX_CHARS } from '../config/callback-url.ts';
import type { MediaFigures } from '../media/session.ts';
import { causeText } from '../q850/causes.ts';
import { printable } from '../text/outside-text.ts';
import type { CallRecord, RecordState } from './record.ts';

/** G.711 bytes per millisecond (RFC 3551 section 4.5.14). */
const G711_BYTES_PER_MS = 8;

/** What a call's record needs besides the call's own data. */
export interface RecordContext {
  /**
   * When the call was offered to the bridge, Unix time, ms. The times of steps are relative to it.
   */
  readonly offeredAtMs: number;
  readonly recordingFiles?: readonly string[];
  readonly isRecordingPaused?: boolean | undefined;
  readonly isHeld?: boolean;
  readonly transfer?: CallRecord['transfer'];
  readonly transferBy?: CallRecord['transferBy'];
  readonly warnings?: readonly string[];
}

/** An outbound dial that has not been answered. */
export interface UnansweredDial {
  readonly callId: string;
  readonly requestedCallId?: string | undefined;
  readonly channelId: string;
  readonly sipCallId?: string | undefined;
  readonly provider: string;
  readonly tenant?: string | undefined;
  readonly from: string;
  readonly to: string;
  readonly callbackUrl?: string | undefined;
  /** Unix time, ms. */
  readonly dialledAtMs: number;
}

/** A dial that ended without an answer. */
export interface FailedDial extends UnansweredDial {
  readonly endedAtMs: number;
  readonly outcome: Outcome;
  readonly cause: number;
  readonly sipStatus?: number | undefined;
}

/** The record of a live call. `stepsMs` as in {@link CallResult}. */
export function liveRecord(
  info: CallInfo,
  state: RecordState,
  stepsMs: CallResult['stepsMs'],
  context: RecordContext,
): CallRecord {
  const at = (step: string) => atMs(context.offeredAtMs, stepsMs[step]);
  const before = info.adopted?.times;
  return withoutAbsent({
    callId: info.callId,
    requestedCallId: info.requestedCallId,
    channelId: info.channelId,
    sipCallId: info.sipCallId || undefined,
    provider: info.sipProvider,
    direction: info.direction,
    tenant: info.tenant,
    from: info.from,
    to: info.to,
    callerIdPresentation: info.callerIdPresentation,
    dialect: info.dialect,
    encoding: info.encoding,
    sampleRateHz: info.sampleRate,
    transport: info.transport,
    state,
    times: withoutAbsent({
      offered: iso(info.dialledAtMs ?? context.offeredAtMs),
      botReady: before?.botReady ?? at('bot'),
      answered: info.answeredAtMs === undefined ? at('answered') : iso(info.answeredAtMs),
      firstCallerAudio: before?.firstCallerAudio ?? at('firstCallerAudio'),
      firstBotAudio: before?.firstBotAudio ?? at('firstBotAudio'),
    }),
    setupMs: { ...stepsMs },
    recordingFile: context.recordingFiles?.at(-1),
    recordingFiles: context.recordingFiles?.length ? [...context.recordingFiles] : undefined,
    isRecordingPaused: context.isRecordingPaused,
    isHeld: context.isHeld || undefined,
    maxDurationSeconds: info.maxDurationMs === undefined ? undefined : info.maxDurationMs / 1000,
    transfer: context.transfer && { ...context.transfer, to: printable(context.transfer.to) },
    transferBy: context.transferBy,
    warnings: context.warnings?.length ? [...context.warnings] : undefined,
    callbackUrl: shortUrl(info.callbackUrl),
  });
}

/** The record of an ended call. `durationMs` is from the offer to the end. */
export function endedRecord(
  info: CallInfo,
  result: CallResult,
  durationMs: number,
  context: RecordContext,
): CallRecord {
  const live = liveRecord(info, 'closed', result.stepsMs, context);
  // A call that was already answered when it was offered has no `answered` step.
  const answered = live.times.answered ?? (result.answered ? iso(context.offeredAtMs) : undefined);
  const { reason } = result;
  return withoutAbsent({
    ...live,
    callbackUrl: undefined,
    transferBy: undefined,
    times: withoutAbsent({ ...live.times, answered, ended: atMs(context.offeredAtMs, durationMs) }),
    media: result.figures && mediaOf(result.figures, playoutBytesPerMs(info)),
    endReason: reason.kind,
    endDetail: 'detail' in reason ? printable(reason.detail) : undefined,
    endedBy: result.treatment.by,
    cause: result.cause,
    causeText: causeText(result.cause),
    outcome: info.direction === 'outbound' ? callOutcome(result) : undefined,
    sipStatus: result.sipStatus,
  });
}

/** The record of a live dial that an external ARI client placed. */
export function dialRecord(dial: UnansweredDial, state: 'dialling' | 'ringing' | 'closed'): CallRecord {
  return withoutAbsent({
    callId: dial.callId,
    requestedCallId: dial.requestedCallId,
    channelId: dial.channelId,
    sipCallId: dial.sipCallId || undefined,
    provider: dial.provider,
    direction: 'outbound' as const,
    tenant: dial.tenant,
    from: dial.from,
    to: dial.to,
    state,
    times: { offered: iso(dial.dialledAtMs) },
    setupMs: {},
    callbackUrl: shortUrl(dial.callbackUrl),
  });
}

/** The record of a failed dial: it was not answered and did not become a call. */
export function failedDialRecord(dial: FailedDial): CallRecord {
  const record = dialRecord(dial, 'closed');
  return withoutAbsent({
    ...record,
    callbackUrl: undefined,
    times: { ...record.times, ended: iso(dial.endedAtMs) },
    endReason: 'not-answered' as const,
    cause: dial.cause,
    causeText: causeText(dial.cause),
    outcome: dial.outcome,
    sipStatus: dial.sipStatus,
  });
}

/** The record of a caller that was refused and returned to the dialplan at once. */
export function refusedRecord(info: CallInfo, detail: string, atUnixMs: number): CallRecord {
  const { by, cause } = treatmentOf({ kind: 'refused', detail: 'at-capacity' });
  return withoutAbsent({
    ...liveRecord(info, 'closed', {}, { offeredAtMs: atUnixMs }),
    callbackUrl: undefined,
    times: { offered: iso(atUnixMs), ended: iso(atUnixMs) },
    endReason: 'refused' as const,
    endDetail: detail,
    endedBy: by,
    cause,
    causeText: causeText(cause),
  });
}

/**
 * The record of a call that was live when the bridge's process died, and had ended by its next
 * start. `foundAtMs`: the time of that start.
 */
export function diedRecord(live: CallRecord, foundAtMs: number): CallRecord {
  const { by, cause } = treatmentOf({ kind: 'bridge-died' });
  const outcome = live.times.answered === undefined ? 'failed' : 'answered';
  return withoutAbsent({
    ...live,
    callbackUrl: undefined,
    transferBy: undefined,
    state: 'closed' as const,
    times: { ...live.times, ended: iso(foundAtMs) },
    endReason: 'bridge-died' as const,
    outcome: live.direction === 'outbound' ? outcome : undefined,
    endedBy: by,
    cause,
    causeText: causeText(cause),
  });
}

function mediaOf(figures: MediaFigures, bytesPerMs: number): NonNullable<CallRecord['media']> {
  const { line, playout, skippedFrames, droppedMessages, refusedMessages } = figures;
  return {
    packetsReceived: line.packetsReceived,
    packetsSent: line.packetsSent,
    // Duplicate packets can make it negative (RFC 3550 section 6.4.1).
    packetsLost: Math.max(0, line.lost),
    packetsLate: line.late,
    packetsEarly: line.early,
    jitterMs: Math.round(line.jitterMs * 10) / 10,
    skippedFrames,
    underruns: playout.underruns,
    longestGapMs: playout.longestGapMs,
    clearedMs: Math.round(playout.clearedBytes / bytesPerMs),
    botMessagesRefused: Object.values(refusedMessages).reduce((sum, refused) => sum + refused, 0),
    botMessagesDropped: droppedMessages,
    overflowMs: Math.round(playout.overflowBytes / bytesPerMs),
    botPausedMs: figures.botPausedMs,
  };
}

/**
 * Bytes per ms in the playout. It holds the format that is sent to Asterisk: with RTP always G.711,
 * whatever the bot sends.
 */
function playoutBytesPerMs({ transport, encoding, sampleRate }: CallInfo): number {
  const isLinear = transport === 'websocket' && encoding === 'pcm16';
  return isLinear ? (2 * sampleRate) / 1000 : G711_BYTES_PER_MS;
}

/**
 * Cuts a URL that is too long, and replaces what is not text. The callback to such a URL is given
 * up anyway, with a log line.
 */
function shortUrl(url: string | undefined): string | undefined {
  return url === undefined ? undefined : printable(url, URL_MAX_CHARS);
}

function iso(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

function atMs(startMs: number, afterMs: number | undefined): string | undefined {
  return afterMs === undefined ? undefined : iso(startMs + afterMs);
}

/** Drops keys whose value is undefined, as JSON does. */
function withoutAbsent<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
