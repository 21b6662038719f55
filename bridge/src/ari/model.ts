import { z } from 'zod';

const channelSchema = z.object({
  id: z.string(),
  name: z.string().default(''),
  state: z.string().default('Unknown'),
  /** The SIP Call-ID of a PJSIP channel. */
  protocol_id: z.string().default(''),
  /** Asterisk's clock, ISO 8601. */
  creationtime: z.string().optional(),
  caller: z.object({ number: z.string().default('') }).default({ number: '' }),
  connected: z.object({ number: z.string().default('') }).default({ number: '' }),
  dialplan: z
    .object({
      context: z.string().default(''),
      exten: z.string().default(''),
      priority: z.number().optional(),
      app_name: z.string().default(''),
      app_data: z.string().default(''),
    })
    .default({ context: '', exten: '', app_name: '', app_data: '' }),
  /** The variables named by `channelvars` in ari.conf. Absent if that is not set. */
  channelvars: z.record(z.string(), z.string()).optional(),
});

/**
 * A channel as ARI returns it, with ARI's names. Fields that the bridge does not read are left out.
 */
export type AriChannel = z.infer<typeof channelSchema>;

const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('StasisStart'),
    channel: channelSchema,
    args: z.array(z.string()).default([]),
    /** The channel that is replaced (RFC 3891, or an attended transfer). */
    replace_channel: channelSchema.optional(),
  }),
  z.object({ type: z.literal('StasisEnd'), channel: channelSchema }),
  z.object({ type: z.literal('ChannelHold'), channel: channelSchema }),
  z.object({ type: z.literal('ChannelUnhold'), channel: channelSchema }),
  z.object({ type: z.literal('ChannelStateChange'), channel: channelSchema }),
  z.object({
    type: z.literal('ChannelHangupRequest'),
    channel: channelSchema,
    cause: z.number().optional(),
    /** If true, `cause` is a flag of Asterisk, not a Q.850 cause. */
    soft: z.boolean().default(false),
    /** SIP status of a failed call. */
    tech_cause: z.number().optional(),
  }),
  z.object({
    type: z.literal('ChannelDestroyed'),
    channel: channelSchema,
    cause: z.number().default(0),
    cause_txt: z.string().default(''),
    /** SIP status of a failed call. */
    tech_cause: z.number().optional(),
  }),
  z.object({
    type: z.literal('ChannelDtmfReceived'),
    channel: channelSchema,
    digit: z.string(),
    duration_ms: z.number().default(0),
    /** Asterisk's clock: ms since 1970; NaN if there is no time. */
    timestamp: z
      .string()
      .default('')
      .transform((text) => Date.parse(text)),
  }),
  z.object({
    type: z.literal('Dial'),
    peer: channelSchema,
    /** The channel that dials. Absent if ARI originates. */
    caller: channelSchema.optional(),
    dialstatus: z.string().default(''),
    dialstring: z.string().default(''),
    /** Target to which the callee's side redirected the call (3xx): a number, or `PJSIP/…`. */
    forward: z.string().default(''),
    /** The channel that Asterisk dials for it. Absent if Asterisk could not make one. */
    forwarded: channelSchema.optional(),
  }),
  z.object({ type: z.literal('ApplicationReplaced'), application: z.string().default('') }),
  /** Sent by `POST /events/user/{name}`: the heartbeat of the connection. */
  z.object({ type: z.literal('ChannelUserevent'), eventname: z.string() }),
]);

/** An ARI event that the bridge handles. */
export type AriEvent = z.infer<typeof eventSchema>;

/** A key that a caller pressed. */
export type KeyEvent = Extract<AriEvent, { type: 'ChannelDtmfReceived' }>;

/** An ARI event of a channel. The others are of the app itself. */
export type ChannelEvent = Exclude<AriEvent, { type: 'ApplicationReplaced' | 'ChannelUserevent' }>;

/** The event types of {@link AriEvent}: the types to allow in the event filter. */
export const EVENT_TYPES: readonly string[] = eventSchema.options.map((option) => option.shape.type.value);

// Schemas are made once: zod compiles each, which takes longer than many parses.
const typeSchema = z.object({ type: z.string() });
const channelsSchema = z.array(channelSchema);
const variableSchema = z.object({ value: z.string().default('') });
const bridgeSchema = z.object({ id: z.string(), channels: z.array(z.string()).default([]) });
const bridgesSchema = z.array(bridgeSchema);
const infoSchema = z.object({ status: z.object({ startup_time: z.string() }) });
const applicationSchema = z.object({ name: z.string().default(''), channel_ids: z.array(z.string()) });
const applicationsSchema = z.array(applicationSchema);
const statisticsSchema = z.record(z.string(), z.unknown());
const FAR_END = /^(rxcount|rxoctetcount|txjitter|txploss|remote_(?!ssrc).*|.*rtt)$/;
const mediaAddressSchema = z.object({
  channelvars: z.object({
    UNICASTRTP_LOCAL_ADDRESS: z.string(),
    UNICASTRTP_LOCAL_PORT: z.coerce.number().int().min(1).max(65535),
  }),
});
const mediaConnectionSchema = z.object({
  channelvars: z.object({ MEDIA_WEBSOCKET_CONNECTION_ID: z.string().min(1) }),
});

/**
 * Parses a text message of the events WebSocket. Returns `undefined` for an event that the bridge
 * does not handle.
 * @throws an Error if it is not an ARI event.
 */
export function parseEvent(text: string): AriEvent | undefined {
  const message: unknown = JSON.parse(text);
  const { type } = typeSchema.parse(message);
  return EVENT_TYPES.includes(type) ? eventSchema.parse(message) : undefined;
}

/** Parses a channel from a REST reply. Throws a `ZodError`. */
export const parseChannel = (value: unknown): AriChannel => channelSchema.parse(value);
/** Parses the reply of `GET /channels`. Throws a `ZodError`. */
export const parseChannels = (value: unknown): AriChannel[] => channelsSchema.parse(value);
/**
 * Parses the reply of `GET /channels/{id}/rtp_statistics`. Returns only counters that the far end
 * changes: its RTP, including comfort noise and empty packets, and its RTCP reports of our stream
 * (`tx…`, `remote_…`, round trip). Throws a `ZodError`.
 */
export function parseFarEndCounts(value: unknown): Record<string, number> {
  const entries = Object.entries(statisticsSchema.parse(value));
  return Object.fromEntries(
    entries.filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number' && FAR_END.test(entry[0]),
    ),
  );
}

/** A mixing bridge as ARI returns it. */
export type AriBridge = z.infer<typeof bridgeSchema>;
/** Parses the reply of `GET /bridges`. Throws a `ZodError`. */
export const parseBridges = (value: unknown): AriBridge[] => bridgesSchema.parse(value);
/**
 * Parses the reply of `GET /asterisk/info`: the start time of Asterisk; empty if it is not given.
 */
export const parseStartedAt = (value: unknown): string =>
  infoSchema.safeParse(value).data?.status.startup_time ?? '';
/** Parses the reply of `GET /applications/{app}`: the ids of its channels. Throws a `ZodError`. */
export const parseApplicationChannels = (value: unknown): string[] =>
  applicationSchema.parse(value).channel_ids;

/** A Stasis app, and the ids of the channels that it is subscribed to. */
export interface AriApplication {
  readonly name: string;
  readonly channelIds: readonly string[];
}

/** Parses the reply of `GET /applications`. Throws a `ZodError`. */
export const parseApplications = (value: unknown): AriApplication[] =>
  applicationsSchema.parse(value).map(({ name, channel_ids }) => ({ name, channelIds: channel_ids }));

/** Parses the value of a variable. Throws a `ZodError`. */
export const parseVariable = (value: unknown): string => variableSchema.parse(value).value;

/** Address and port where an external media channel (chan_rtp) receives RTP. */
export interface MediaAddress {
  readonly address: string;
  readonly port: number;
}

/**
 * Parses the RTP address in the reply of `POST /channels/externalMedia`. Throws a `ZodError` if it
 * is missing.
 */
export function parseMediaAddress(value: unknown): MediaAddress {
  const { channelvars } = mediaAddressSchema.parse(value);
  return { address: channelvars.UNICASTRTP_LOCAL_ADDRESS, port: channelvars.UNICASTRTP_LOCAL_PORT };
}

/**
 * Parses the id of the media WebSocket in the reply of `POST /channels/externalMedia`. Throws a
 * `ZodError`.
 */
export function parseMediaConnectionId(value: unknown): string {
  const { channelvars } = mediaConnectionSchema.parse(value);
  return channelvars.MEDIA_WEBSOCKET_CONNECTION_ID;
}
