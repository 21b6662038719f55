import { z } from 'zod';
import {
  DIRECTIONS,
  ERROR_CODES,
  PRESENTATIONS,
  RECORDING_REQUESTS,
  RECORDING_STATES,
  TRANSFER_MODES,
} from './dialect.ts';
import {
  DTMF_MAX_DIGITS,
  encoding,
  type FromBot,
  markName,
  means,
  NAME_MAX_CHARS,
  PAYLOAD,
  sampleRate,
  strings,
  type ToBot,
  TRANSFER_TO_MAX_CHARS,
} from './wire-parts.ts';

/**
 * Schemas of the messages other than media that a bot may send, by event, in the native dialect.
 * The decoder checks by them.
 */
export const CONTROLS = {
  clear: z
    .object({ event: z.literal('clear') })
    .meta(means('Stop speaking now: what is queued is dropped.', { event: 'clear' })),
  resume: z
    .object({ event: z.literal('resume') })
    .meta(means('Go on with what barge-in help holds back.', { event: 'resume' })),
  mark: z
    .object({ event: z.literal('mark'), name: markName })
    .meta(means('Comes back when all before it is played.', { event: 'mark', name: 'greeting' })),
  dtmf: z
    .object({
      event: z.literal('dtmf'),
      digits: z
        .string()
        // A `w` or a comma is a pause of 500 ms.
        .regex(/^[0-9A-Da-d*#wW,]+$/)
        .max(DTMF_MAX_DIGITS),
    })
    .meta(
      means('Keys for the caller’s side; w or a comma is a pause of 500 ms.', {
        event: 'dtmf',
        digits: '12w3#',
      }),
    ),
  hangup: z
    .object({ event: z.literal('hangup'), immediate: z.boolean().default(false) })
    .meta(
      means(
        'End the call when all is played; immediate: now.',
        { event: 'hangup' },
        { event: 'hangup', immediate: true },
      ),
    ),
  recording: z
    .object({ event: z.literal('recording'), state: z.enum(RECORDING_REQUESTS) })
    .meta(
      means('Leave out of the recording what follows, or go on.', { event: 'recording', state: 'pause' }),
    ),
  transfer: z
    .object({
      event: z.literal('transfer'),
      to: z.string().min(1).max(TRANSFER_TO_MAX_CHARS),
      provider: z.string().max(NAME_MAX_CHARS).optional(),
      mode: z.enum(TRANSFER_MODES).optional(),
      context: z.string().max(NAME_MAX_CHARS).optional(),
      extension: z.string().max(NAME_MAX_CHARS).optional(),
    })
    .meta(
      means(
        'Transfer the caller: to a number, or to a place in the dialplan.',
        { event: 'transfer', to: '+4930123456' },
        { event: 'transfer', to: 'reception', mode: 'dialplan', context: 'human' },
      ),
    ),
};

/**
 * All messages that a bot may send in the native dialect. Media is decoded by hand, 50 times per
 * second, but has the same meaning.
 */
export const NATIVE_FROM_BOT = {
  media: z
    .object({
      event: z.literal('media'),
      payload: z.base64(),
      encoding: encoding.optional(),
      sampleRate: sampleRate.optional(),
    })
    .meta(
      means(
        'Audio to be played, of any length, at any pace; encoding and rate are the call’s where they are not said, and may be others.',
        { event: 'media', payload: PAYLOAD },
        { event: 'media', payload: PAYLOAD, encoding: 'pcm16', sampleRate: 24_000 },
      ),
    ),
  ...CONTROLS,
} satisfies Record<FromBot, z.ZodType>;

/**
 * All messages that a bot is sent in the native dialect. More fields and events may be added: bots
 * must ignore those that they do not know.
 */
export const NATIVE_TO_BOT = {
  start: z
    .object({
      event: z.literal('start'),
      callId: z.string(),
      call_id: z.string(),
      streamId: z.string(),
      tenant: z.string().optional(),
      encoding,
      sampleRate,
      direction: z.enum(DIRECTIONS),
      channel_id: z.string(),
      sip_call_id: z.string(),
      sip_provider: z.string(),
      from: z.string(),
      to: z.string(),
      callerIdPresentation: z.enum(PRESENTATIONS).optional(),
      variables: strings,
      app_args: z.array(z.string()),
      custom_vars: strings,
      headers: strings,
      framing: z.literal('binary').optional(),
      reconnected: z.literal(true).optional(),
    })
    .meta(
      means('Once, first: what the call is.', {
        event: 'start',
        callId: 'c-1',
        call_id: 'c-1',
        streamId: '1763800000.1',
        tenant: 'shop',
        encoding: 'pcmu',
        sampleRate: 8000,
        direction: 'inbound',
        channel_id: '1763800000.1',
        sip_call_id: 'a84b4c76e66710',
        sip_provider: 'acme',
        from: '+4915112345',
        to: '+4930123456',
        variables: { AGENT_ID: '7' },
        app_args: [],
        custom_vars: { plan: 'gold' },
        headers: {},
      }),
    ),
  media: z
    .object({
      event: z.literal('media'),
      encoding,
      sampleRate,
      payload: z.base64(),
      timestamp: z.int().min(0),
    })
    .meta(
      means('20 ms of the caller, silence included; the timestamp is in ms.', {
        event: 'media',
        encoding: 'pcmu',
        sampleRate: 8000,
        payload: PAYLOAD,
        timestamp: 1240,
      }),
    ),
  answered: z
    .object({ event: z.literal('answered') })
    .meta(means('Caller and bot hear each other from now on.', { event: 'answered' })),
  dtmf: z
    .object({ event: z.literal('dtmf'), digit: z.string().regex(/^[0-9A-D*#]$/), durationMs: z.number() })
    .meta(means('The caller pressed a key.', { event: 'dtmf', digit: '5', durationMs: 120 })),
  mark: z
    .object({ event: z.literal('mark'), name: z.string(), cleared: z.literal(true).optional() })
    .meta(
      means(
        'All before the bot’s mark is played, or was cleared.',
        { event: 'mark', name: 'greeting' },
        { event: 'mark', name: 'greeting', cleared: true },
      ),
    ),
  cleared: z
    .object({ event: z.literal('cleared'), ms: z.int().min(0) })
    .meta(means('A clear was carried out: ms of audio were dropped.', { event: 'cleared', ms: 1840 })),
  speech: z.object({ event: z.literal('speech'), state: z.enum(['start', 'stop']) }).meta(
    means('The caller speaks into the bot’s words, as barge-in help hears it.', {
      event: 'speech',
      state: 'start',
    }),
  ),
  transfer: z
    .object({
      event: z.literal('transfer'),
      status: z.enum(['started', 'completed', 'failed']),
      reason: z.string().optional(),
    })
    .meta(
      means(
        'How a transfer goes; after failed the caller is back.',
        { event: 'transfer', status: 'started' },
        { event: 'transfer', status: 'completed' },
        { event: 'transfer', status: 'failed', reason: 'busy' },
      ),
    ),
  recording: z
    .object({ event: z.literal('recording'), state: z.enum(RECORDING_STATES) })
    .meta(means('Whether the call is being recorded.', { event: 'recording', state: 'on' })),
  hold: z
    .object({ event: z.literal('hold') })
    .meta(means('The caller’s phone holds the call.', { event: 'hold' })),
  unhold: z
    .object({ event: z.literal('unhold') })
    .meta(means('The caller’s phone goes on with the call.', { event: 'unhold' })),
  limit: z
    .object({ event: z.literal('limit'), kind: z.literal('max-duration'), remainingMs: z.number() })
    .meta(
      means('A limit will end the call soon.', { event: 'limit', kind: 'max-duration', remainingMs: 30_000 }),
    ),
  error: z
    .object({
      event: z.literal('error'),
      code: z.enum(ERROR_CODES),
      message: z.string(),
      ms: z.int().min(0).optional(),
    })
    .meta(
      means(
        'A message of the bot was refused, or (overflow) audio was dropped, `ms` long; told at most once a second.',
        { event: 'error', code: 'bad-base64', message: 'media.payload is not base64' },
        { event: 'error', code: 'overflow', message: 'more audio waits than is kept', ms: 2_000 },
      ),
    ),
  hangup: z
    .object({ event: z.literal('hangup'), reason: z.string(), cause: z.int(), causeText: z.string() })
    .meta(
      means('The last message, then close 1000. The cause is of Q.850.', {
        event: 'hangup',
        reason: 'caller-hangup',
        cause: 16,
        causeText: 'Normal call clearing',
      }),
    ),
} satisfies Record<ToBot, z.ZodType>;
