import { z } from 'zod';

/** What the bridge must send first: every field of docs/BOTS.md, and any more. */
export const startSchema = z.looseObject({
  event: z.literal('start'),
  callId: z.string().min(1),
  call_id: z.string().min(1),
  streamId: z.string().min(1),
  tenant: z.string().nullish(),
  encoding: z.enum(['pcmu', 'pcma', 'pcm16']),
  sampleRate: z.literal([8000, 16000, 24000]),
  direction: z.enum(['inbound', 'outbound']),
  channel_id: z.string().min(1),
  sip_call_id: z.string().nullish(),
  sip_provider: z.string().nullish(),
  from: z.string().nullish(),
  to: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()),
  app_args: z.array(z.string()),
  custom_vars: z.record(z.string(), z.unknown()),
  headers: z.record(z.string(), z.unknown()),
  framing: z.literal('binary').optional(),
});

/** The bridge's `start` message. */
export type Start = z.infer<typeof startSchema>;

/** Every message that the bridge sends, by `event`. Others are allowed, and ignored. */
export const messageSchema = z.discriminatedUnion('event', [
  startSchema,
  z.looseObject({
    event: z.literal('media'),
    encoding: z.enum(['pcmu', 'pcma', 'pcm16']),
    sampleRate: z.number().positive(),
    payload: z.base64(),
    timestamp: z.number().nonnegative(),
  }),
  z.looseObject({ event: z.literal('answered') }),
  z.looseObject({
    event: z.literal('dtmf'),
    digit: z.string().regex(/^[0-9A-D*#]$/),
    durationMs: z.number().nonnegative(),
  }),
  z.looseObject({ event: z.literal('mark'), name: z.string(), cleared: z.boolean().optional() }),
  z.looseObject({ event: z.literal('cleared'), ms: z.number().nonnegative() }),
  z.looseObject({ event: z.literal('speech'), state: z.enum(['start', 'stop']) }),
  z.looseObject({ event: z.literal('hangup'), reason: z.string(), cause: z.number(), causeText: z.string() }),
  z.looseObject({ event: z.literal('error'), code: z.union([z.string(), z.number()]), message: z.string() }),
]);

/** A valid message. */
export type Message = z.infer<typeof messageSchema>;
/** One message of that kind. */
export type MessageOf<Event extends Message['event']> = Extract<Message, { event: Event }>;

/** The names of the events above. */
export const EVENTS: ReadonlySet<string> = new Set(
  messageSchema.options.flatMap((option) => [...option.shape.event.values]),
);

const number = (minimum: number, maximum: number) => z.coerce.number().min(minimum).max(maximum).optional();

/**
 * What the WebSocket's query may ask of the mock, in addition to the bridge's parameters. Units:
 * see the README.
 */
export const optionsSchema = z.object({
  mode: z.string().optional(),
  ms: number(20, 600_000),
  after_ms: number(0, 600_000),
  tone_hz: number(50, 11_900),
  speed: number(0.1, 100),
  messages: number(1, 1000),
});

/** A call's options, from its query. */
export type Options = z.infer<typeof optionsSchema>;
