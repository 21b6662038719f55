import { z } from 'zod';
import { CONTROLS } from './native-wire.ts';
import { type FromBot, markName, means, PAYLOAD, sid, sidOf, strings } from './wire-parts.ts';

/**
 * Schemas of the messages other than media that a bot may send in the Twilio dialect: those of the
 * native dialect, with Twilio's `mark`.
 */
export const TWILIO_CONTROLS = {
  ...CONTROLS,
  clear: CONTROLS.clear.meta(
    means('Stop speaking now: what is queued is dropped.', { event: 'clear', streamSid: sidOf('MZ') }),
  ),
  mark: z
    .object({ event: z.literal('mark'), mark: z.object({ name: markName }) })
    .meta(
      means('Comes back when all before it is played.', {
        event: 'mark',
        streamSid: sidOf('MZ'),
        mark: { name: 'greeting' },
      }),
    )
    .transform(({ event, mark }) => ({ event, name: mark.name })),
};

/** All messages that a bot may send in the Twilio dialect. */
export const TWILIO_FROM_BOT = {
  media: z.object({ event: z.literal('media'), media: z.object({ payload: z.base64() }) }).meta(
    means('Audio to be played: mu-law at 8 kHz, of any length, at any pace.', {
      event: 'media',
      streamSid: sidOf('MZ'),
      media: { payload: PAYLOAD },
    }),
  ),
  ...TWILIO_CONTROLS,
} satisfies Record<FromBot, z.ZodType>;

const numbered = { sequenceNumber: z.string().regex(/^[1-9]\d*$/), streamSid: sid('MZ') };
const EXAMPLE = { sequenceNumber: '5', streamSid: sidOf('MZ') };

/** All messages that a bot is sent in the Twilio dialect. Nothing else is ever sent. */
export const TWILIO_TO_BOT = {
  connected: z
    .object({ event: z.literal('connected'), protocol: z.literal('Call'), version: z.literal('1.0.0') })
    .meta(means('Once, first.', { event: 'connected', protocol: 'Call', version: '1.0.0' })),
  start: z
    .object({
      event: z.literal('start'),
      ...numbered,
      start: z.object({
        accountSid: sid('AC'),
        streamSid: sid('MZ'),
        callSid: sid('CA'),
        tracks: z.tuple([z.literal('inbound')]),
        mediaFormat: z.object({
          encoding: z.literal('audio/x-mulaw'),
          sampleRate: z.literal(8000),
          channels: z.literal(1),
        }),
        customParameters: strings,
      }),
    })
    .meta(
      means('Once, second: what the call is. All parameters are strings.', {
        event: 'start',
        sequenceNumber: '1',
        streamSid: sidOf('MZ'),
        start: {
          accountSid: sidOf('AC'),
          streamSid: sidOf('MZ'),
          callSid: sidOf('CA'),
          tracks: ['inbound'],
          mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
          customParameters: {
            call_id: 'c-1',
            from_number: '+4915112345',
            to_number: '+4930123456',
            sip_provider: 'acme',
            direction: 'inbound',
            tenant: 'shop',
            AGENT_ID: '7',
          },
        },
      }),
    ),
  media: z
    .object({
      event: z.literal('media'),
      ...numbered,
      media: z.object({
        track: z.literal('inbound'),
        chunk: z.string().regex(/^[1-9]\d*$/),
        timestamp: z.string().regex(/^\d+$/),
        payload: z.base64(),
      }),
    })
    .meta(
      means('20 ms of the caller, silence included; the timestamp is in ms.', {
        event: 'media',
        ...EXAMPLE,
        media: { track: 'inbound', chunk: '4', timestamp: '80', payload: PAYLOAD },
      }),
    ),
  dtmf: z
    .object({
      event: z.literal('dtmf'),
      ...numbered,
      dtmf: z.object({ track: z.literal('inbound_track'), digit: z.string().regex(/^[0-9A-D*#]$/) }),
    })
    .meta(
      means('The caller pressed a key.', {
        event: 'dtmf',
        ...EXAMPLE,
        dtmf: { track: 'inbound_track', digit: '5' },
      }),
    ),
  mark: z.object({ event: z.literal('mark'), ...numbered, mark: z.object({ name: z.string() }) }).meta(
    means('All before the bot’s mark is played, or was cleared.', {
      event: 'mark',
      ...EXAMPLE,
      mark: { name: 'greeting' },
    }),
  ),
  stop: z
    .object({
      event: z.literal('stop'),
      ...numbered,
      stop: z.object({ accountSid: sid('AC'), callSid: sid('CA') }),
    })
    .meta(
      means('The last message, then close 1000.', {
        event: 'stop',
        ...EXAMPLE,
        stop: { accountSid: sidOf('AC'), callSid: sidOf('CA') },
      }),
    ),
};
