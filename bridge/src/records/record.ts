import { z } from 'zod';
import { END_REASONS } from '../call/end-reason.ts';
import { OUTCOMES } from '../call/outcome.ts';
import { ENCODINGS } from '../pipecat/dialect.ts';

const time = z.iso.datetime({ precision: 3 });
const count = z.int().min(0);
const milliseconds = z.number().min(0);

/** When what happened, UTC with milliseconds; a step that was not reached is left out. */
const timesSchema = z.object({
  /** The bridge heard of the call: an inbound one reached it, an outbound one was dialled. */
  offered: time,
  botReady: time.optional(),
  answered: time.optional(),
  firstCallerAudio: time.optional(),
  firstBotAudio: time.optional(),
  ended: time.optional(),
});

/** What the relay counted: `packets…` on Asterisk's side, `botMessages…` on the bot's. */
const mediaSchema = z.object({
  packetsReceived: count,
  packetsSent: count,
  packetsLost: count,
  packetsLate: count,
  /** Dropped: the caller sent more audio than time had passed. */
  packetsEarly: count.optional(),
  /** Interarrival jitter (RFC 3550 section 6.4.1). */
  jitterMs: milliseconds,
  /** Frames of 20 ms that the caller was not sent, since the bridge had no time to: not the bot's fault. */
  skippedFrames: count.optional(),
  /** Times that the bot's audio ran dry within an utterance, and the longest silence that was heard by it. */
  underruns: count,
  longestGapMs: milliseconds,
  /** Audio of the bot that its `clear` kept from being heard. */
  clearedMs: milliseconds,
  botMessagesRefused: count,
  botMessagesDropped: count,
  /** Audio of the bot that was dropped because more waited than the playout holds; absent in records of 0.1.0, as the next. */
  overflowMs: milliseconds.optional(),
  /** How long the bot's socket was not read because it had sent too much. */
  botPausedMs: milliseconds.optional(),
});

/** The last transfer of a call: what was asked for and what became of it. */
const transferSchema = z.object({
  to: z.string(),
  mode: z.enum(['blind', 'dialplan']),
  status: z.enum(['pending', 'completed', 'failed']),
  reason: z.string().optional(),
});

/** One call, from its offer or dial on (contract, section 4). What is not known, or not yet, is left out. */
export const callRecordSchema = z.object({
  callId: z.string(),
  /** The id that was asked for, where it was another call's. */
  requestedCallId: z.string().optional(),
  /** Asterisk's id of the call's channel. */
  channelId: z.string(),
  sipCallId: z.string().optional(),
  provider: z.string(),
  direction: z.enum(['inbound', 'outbound']),
  tenant: z.string().optional(),
  from: z.string(),
  to: z.string(),
  /** Whether an inbound caller shows their number; `from` of one who does not is `anonymous`, unless the provider's file says otherwise. */
  callerIdPresentation: z.enum(['allowed', 'restricted', 'unavailable']).optional(),
  /** Wire format of the bot, and the audio it is sent; absent where no bot was ever sought. */
  dialect: z.string().optional(),
  encoding: z.enum(ENCODINGS).optional(),
  sampleRateHz: z.int().optional(),
  transport: z.enum(['rtp', 'websocket']).optional(),
  state: z.enum(['dialling', 'ringing', 'setup', 'active', 'closing', 'closed']),
  times: timesSchema,
  /** From the offer to each step of the set-up, ms. */
  setupMs: z.record(z.string(), milliseconds),
  media: mediaSchema.optional(),
  /** `not-answered`: a dial that failed; see `outcome`. */
  endReason: z.enum(END_REASONS).optional(),
  endDetail: z.string().optional(),
  endedBy: z.enum(['caller', 'bot', 'bridge', 'operator']).optional(),
  /** Q.850 cause of the end, and its name. */
  cause: z.int().optional(),
  causeText: z.string().optional(),
  /** Of an outbound call. */
  outcome: z.enum(OUTCOMES).optional(),
  /** Final SIP status of a dial that failed. */
  sipStatus: z.int().optional(),
  /** The recording's file, below RECORDINGS_DIR. */
  recordingFile: z.string().optional(),
  /** All of them, oldest first, where a process before has recorded too. */
  recordingFiles: z.array(z.string()).optional(),
  /** Of a call that is recorded: whether its bot, or the operator, has paused that. */
  isRecordingPaused: z.boolean().optional(),
  /** The caller's phone holds the call. */
  isHeld: z.boolean().optional(),
  /** How long the call may last from the answer on, where its order says so. */
  maxDurationSeconds: z.number().optional(),
  transfer: transferSchema.optional(),
  /** Who asked for it, until the end: then `endedBy` says so. */
  transferBy: z.enum(['bot', 'operator']).optional(),
  /** Who is told of the end, until then. */
  callbackUrl: z.string().optional(),
});

/** A call record: JSON as it is stored, logged and shown by the API. */
export type CallRecord = z.infer<typeof callRecordSchema>;
export type RecordState = CallRecord['state'];

/** A record for others' eyes: a callback URL without the user and password that it may have. */
export function shownRecord(record: CallRecord): CallRecord {
  const { callbackUrl } = record;
  if (callbackUrl === undefined || !callbackUrl.includes('@') || !URL.canParse(callbackUrl)) return record;
  const url = new URL(callbackUrl);
  if (url.username === '' && url.password === '') return record;
  url.username = '***';
  url.password = '';
  return { ...record, callbackUrl: url.href };
}
