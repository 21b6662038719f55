import { z } from 'zod';

/** The bridge sent what a bot made for Twilio cannot read. Such a bot ends the call at once. */
export class Unreadable extends Error {}

const sid = (prefix: string) => z.string().regex(new RegExp(`^${prefix}[0-9a-f]{32}$`));
const number = z.string().regex(/^\d+$/);

const connectedSchema = z.strictObject({
  event: z.literal('connected'),
  protocol: z.literal('Call'),
  version: z.literal('1.0.0'),
});
const startSchema = z.strictObject({
  event: z.literal('start'),
  sequenceNumber: z.literal('1'),
  streamSid: sid('MZ'),
  start: z.strictObject({
    streamSid: sid('MZ'),
    callSid: sid('CA'),
    accountSid: sid('AC'),
    tracks: z.tuple([z.literal('inbound')]),
    mediaFormat: z.strictObject({
      encoding: z.literal('audio/x-mulaw'),
      sampleRate: z.literal(8000),
      channels: z.literal(1),
    }),
    customParameters: z.record(z.string(), z.string()),
  }),
});
const numbered = { sequenceNumber: number, streamSid: sid('MZ') };
const laterSchema = z.discriminatedUnion('event', [
  z.strictObject({
    event: z.literal('media'),
    ...numbered,
    media: z.strictObject({
      track: z.literal('inbound'),
      chunk: number,
      timestamp: number,
      payload: z.base64(),
    }),
  }),
  z.strictObject({
    event: z.literal('dtmf'),
    ...numbered,
    dtmf: z.strictObject({ track: z.literal('inbound_track'), digit: z.string().length(1) }),
  }),
  z.strictObject({ event: z.literal('mark'), ...numbered, mark: z.strictObject({ name: z.string() }) }),
  z.strictObject({
    event: z.literal('stop'),
    ...numbered,
    stop: z.strictObject({ accountSid: sid('AC'), callSid: sid('CA') }),
  }),
]);

type Json = Record<string, unknown>;
type Start = z.infer<typeof startSchema>;
type Later = z.infer<typeof laterSchema>;

/**
 * Twilio Media Streams as a bot sees it, read more strictly than any bot does: what real bots need,
 * and every field that Twilio documents. The rest of the mock knows only the native dialect; this
 * file translates between the two.
 */
export class TwilioWire {
  #messages = 0;
  #chunks = 0;
  #start: Start | undefined;

  /**
   * The message in the native dialect; undefined for `connected`, which native does not have.
   * Throws an {@link Unreadable}.
   */
  read(data: Buffer, isBinary: boolean): Json | undefined {
    if (isBinary) throw new Unreadable('a binary frame');
    let json: unknown;
    try {
      json = JSON.parse(data.toString());
    } catch {
      throw new Unreadable('a message that is no JSON');
    }
    this.#messages++;
    if (this.#messages === 1) {
      check(connectedSchema, json);
      return undefined;
    }
    if (!this.#start) {
      this.#start = check(startSchema, json);
      return nativeStart(this.#start);
    }
    const message = check(laterSchema, json);
    if (message.sequenceNumber !== String(this.#messages - 1))
      throw new Unreadable(`sequenceNumber ${message.sequenceNumber} is message ${this.#messages - 1}`);
    if (message.streamSid !== this.#start.streamSid) throw new Unreadable('another streamSid');
    if (message.event === 'media' && message.media.chunk !== String(++this.#chunks))
      throw new Unreadable(`chunk ${message.media.chunk} is chunk ${this.#chunks}`);
    return native(message);
  }

  /**
   * A bot's message as TwilioFrameSerializer sends it. A message that Twilio does not have is sent
   * unchanged.
   */
  write(message: Json): Json {
    const streamSid = this.#start?.streamSid;
    switch (message.event) {
      case 'media':
        return { event: 'media', streamSid, media: { payload: message.payload } };
      case 'clear':
        return { event: 'clear', streamSid };
      case 'mark':
        return { event: 'mark', streamSid, mark: { name: message.name } };
      default:
        return message;
    }
  }
}

function check<Output>(schema: z.ZodType<Output>, json: unknown): Output {
  const { data, error } = schema.safeParse(json);
  if (data !== undefined) return data;
  const [issue] = error?.issues ?? [];
  throw new Unreadable(`${JSON.stringify(json).slice(0, 80)}: ${issue?.path.join('.')}: ${issue?.message}`);
}

function nativeStart({ start }: Start): Json {
  const { call_id, tenant, direction, sip_provider, from_number, to_number } = start.customParameters;
  return {
    event: 'start',
    callId: call_id,
    call_id,
    streamId: start.streamSid,
    tenant,
    encoding: 'pcmu',
    sampleRate: 8000,
    direction,
    channel_id: start.callSid,
    sip_provider,
    from: from_number,
    to: to_number,
    variables: start.customParameters,
    app_args: [],
    custom_vars: {},
    headers: {},
    twilio: start,
  };
}

function native(message: Later): Json {
  switch (message.event) {
    case 'media':
      return {
        event: 'media',
        encoding: 'pcmu',
        sampleRate: 8000,
        payload: message.media.payload,
        timestamp: Number(message.media.timestamp),
      };
    case 'dtmf':
      return { event: 'dtmf', digit: message.dtmf.digit, durationMs: 0 };
    case 'mark':
      return { event: 'mark', name: message.mark.name };
    case 'stop':
      return { event: 'hangup', reason: 'stop', cause: 16, causeText: '' };
  }
}
