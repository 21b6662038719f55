import { z } from 'zod';
import { END_REASONS, ENDERS, REQUESTERS } from '../call/end-reason.ts';
import { OUTCOMES } from '../call/outcome.ts';
import { TRANSFER_STATUSES } from '../call/transfer-summary.ts';
import { TRANSPORTS } from '../config/media-settings.ts';
import { DIRECTIONS, ENCODINGS, PRESENTATIONS, TRANSFER_MODES } from '../pipecat/dialect.ts';

const time = z.iso.datetime({ precision: 3 });
const count = z.int().min(0);
const milliseconds = z.number().min(0);

/** Time of each step, UTC, with milliseconds. A step that was not reached is absent. */
const timesSchema = z.object({
  /**
   * When the bridge first heard of the call: an inbound call arrived, an outbound call was dialled.
   * For a call that ARI has dialled, when its channel was made.
   */
  offered: time,
  botReady: time.optional(),
  answered: time.optional(),
  firstCallerAudio: time.optional(),
  firstBotAudio: time.optional(),
  ended: time.optional(),
});

/** Counters of the relay: `packets…` on Asterisk's side, `botMessages…` on the bot's side. */
const mediaSchema = z.object({
  packetsReceived: count,
  packetsSent: count,
  packetsLost: count,
  packetsLate: count,
  /** Packets dropped because the caller sent more audio than real time. */
  packetsEarly: count.optional(),
  /** Interarrival jitter (RFC 3550 section 6.4.1). */
  jitterMs: milliseconds,
  /** Frames of 20 ms that were not sent to the caller because the bridge was overloaded. */
  skippedFrames: count.optional(),
  /**
   * How often the bot's audio ran out within an utterance. `longestGapMs` is the longest such gap.
   */
  underruns: count,
  longestGapMs: milliseconds,
  /** Bot audio that `clear` removed before it was played. */
  clearedMs: milliseconds,
  botMessagesRefused: count,
  botMessagesDropped: count,
  /**
   * Bot audio dropped because the playout was full. This and the next field are absent in records
   * of 0.1.0.
   */
  overflowMs: milliseconds.optional(),
  /** How long the bot's socket was not read because the bot had sent too much. */
  botPausedMs: milliseconds.optional(),
});

/** The last transfer of a call: the request and its status. */
const transferSchema = z.object({
  to: z.string(),
  mode: z.enum(TRANSFER_MODES),
  status: z.enum(TRANSFER_STATUSES),
  reason: z.string().optional(),
});

/** One call, from its offer or dial on (docs/RECORDS.md). Unknown values are absent. */
export const callRecordSchema = z.object({
  callId: z.string(),
  /** The requested call id, if another call already had it. */
  requestedCallId: z.string().optional(),
  /** The channel's unique id in Asterisk. */
  channelId: z.string(),
  sipCallId: z.string().optional(),
  provider: z.string(),
  direction: z.enum(DIRECTIONS),
  tenant: z.string().optional(),
  from: z.string(),
  to: z.string(),
  /**
   * Whether an inbound caller presents their number. If not, `from` is `anonymous`, unless the
   * provider's file passes withheld numbers.
   */
  callerIdPresentation: z.enum(PRESENTATIONS).optional(),
  /** The bot's wire format, then its audio format. Absent if no bot was contacted. */
  dialect: z.string().optional(),
  encoding: z.enum(ENCODINGS).optional(),
  sampleRateHz: z.int().optional(),
  transport: z.enum(TRANSPORTS).optional(),
  state: z.enum(['dialling', 'ringing', 'setup', 'active', 'closing', 'closed']),
  times: timesSchema,
  /** From the offer to each step of the set-up, ms. */
  setupMs: z.record(z.string(), milliseconds),
  media: mediaSchema.optional(),
  /** `not-answered` is a failed dial: `outcome` says how it failed. */
  endReason: z.enum(END_REASONS).optional(),
  endDetail: z.string().optional(),
  endedBy: z.enum(ENDERS).optional(),
  /** Q.850 cause of the end, and its name. */
  cause: z.int().optional(),
  causeText: z.string().optional(),
  /** For outbound calls only. */
  outcome: z.enum(OUTCOMES).optional(),
  /** Final SIP status of a failed dial. */
  sipStatus: z.int().optional(),
  /** The recording's file, relative to RECORDINGS_DIR. */
  recordingFile: z.string().optional(),
  /** All recording files, oldest first, if a previous process has recorded this call too. */
  recordingFiles: z.array(z.string()).optional(),
  /** Whether the bot or the operator has paused the recording. Absent if not recorded. */
  isRecordingPaused: z.boolean().optional(),
  /** Whether the caller's phone holds the call. */
  isHeld: z.boolean().optional(),
  /** Longest duration after the answer, s, if the order sets it. */
  maxDurationSeconds: z.number().optional(),
  transfer: transferSchema.optional(),
  /** Who asked for the transfer. Absent after the end, when `endedBy` says it. */
  transferBy: z.enum(REQUESTERS).optional(),
  /** What went wrong without ending the call. */
  warnings: z.array(z.string()).optional(),
  /** Where the status callback will be sent. Absent after the end. */
  callbackUrl: z.string().optional(),
});

/** A call record: JSON as it is stored, logged and returned by the API. */
export type CallRecord = z.infer<typeof callRecordSchema>;
/** How far a call has come. */
export type RecordState = CallRecord['state'];

/** A record without user and password in its callback URL, for the API and its events. */
export function shownRecord(record: CallRecord): CallRecord {
  const { callbackUrl } = record;
  if (callbackUrl === undefined || !callbackUrl.includes('@') || !URL.canParse(callbackUrl)) return record;
  const url = new URL(callbackUrl);
  if (url.username === '' && url.password === '') return record;
  url.username = '***';
  url.password = '';
  return { ...record, callbackUrl: url.href };
}
