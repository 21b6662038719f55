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
  /** The variables named by `channelvars` in ari.conf; absent where that is not set. */
  channelvars: z.record(z.string(), z.string()).optional(),
});

/** A channel as ARI shows it, in ARI's own spelling; fields that the bridge does not read are left out. */
export type AriChannel = z.infer<typeof channelSchema>;

const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('StasisStart'),
    channel: channelSchema,
    args: z.array(z.string()).default([]),
    /** Whose place the channel takes (RFC 3891, or an attended transfer). */
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
    /** Then `cause` is a flag of Asterisk's own, not Q.850. */
    soft: z.boolean().default(false),
    /** SIP status of a call that failed. */
    tech_cause: z.number().optional(),
  }),
  z.object({
    type: z.literal('ChannelDestroyed'),
    channel: channelSchema,
    cause: z.number().default(0),
    cause_txt: z.string().default(''),
    /** SIP status of a call that failed. */
    tech_cause: z.number().optional(),
  }),
  z.object({
    type: z.literal('ChannelDtmfReceived'),
    channel: channelSchema,
    digit: z.string(),
    duration_ms: z.number().default(0),
    /** Asterisk's clock: ms since 1970; NaN where it says no time. */
    timestamp: z
      .string()
      .default('')
      .transform((text) => Date.parse(text)),
  }),
  z.object({
    type: z.literal('Dial'),
    peer: channelSchema,
    /** The channel that dials; absent where ARI originates. */
    caller: channelSchema.optional(),
    dialstatus: z.string().default(''),
    dialstring: z.string().default(''),
    /** Where the callee's side has forwarded the call to (3xx): a number, or `PJSIP/…`. */
    forward: z.string().default(''),
    /** The leg that Asterisk dials for it; absent where it could not make one. */
    forwarded: channelSchema.optional(),
  }),
  z.object({ type: z.literal('ApplicationReplaced'), application: z.string().default('') }),
  /** Of `POST /events/user/{name}`: the heartbeat of the connection. */
  z.object({ type: z.literal('ChannelUserevent'), eventname: z.string() }),
]);

/** An ARI event that the bridge acts on. */
export type AriEvent = z.infer<typeof eventSchema>;

/** A key that a caller pressed. */
export type KeyEvent = Extract<AriEvent, { type: 'ChannelDtmfReceived' }>;

/** An ARI event that concerns a channel; the others concern the app itself. */
export type ChannelEvent = Exclude<AriEvent, { type: 'ApplicationReplaced' | 'ChannelUserevent' }>;

/** The event types of {@link AriEvent}: what an event filter should let through. */
export const EVENT_TYPES: readonly string[] = eventSchema.options.map((option) => option.shape.type.value);

// Schemas are made once: zod compiles each, which takes longer than many a parse.
const typeSchema = z.object({ type: z.string() });
const channelsSchema = z.array(channelSchema);
const variableSchema = z.object({ value: z.string().default('') });
const bridgeSchema = z.object({ id: z.string(), channels: z.array(z.string()).default([]) });
const bridgesSchema = z.array(bridgeSchema);
const infoSchema = z.object({ status: z.object({ startup_time: z.string() }) });
const applicationSchema = z.object({ channel_ids: z.array(z.string()) });
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
 * Parses one text message of the events WebSocket.
 * Returns `undefined` for an event that the bridge does not act on; throws on what is no ARI event at all.
 */
export function parseEvent(text: string): AriEvent | undefined {
  const message: unknown = JSON.parse(text);
  const { type } = typeSchema.parse(message);
  return EVENT_TYPES.includes(type) ? eventSchema.parse(message) : undefined;
}

/** Parses a channel, or a list of them, from a REST reply. Throws a `ZodError`. */
export const parseChannel = (value: unknown): AriChannel => channelSchema.parse(value);
/** Parses the reply of `GET /channels`. Throws a `ZodError`. */
export const parseChannels = (value: unknown): AriChannel[] => channelsSchema.parse(value);
/**
 * Parses the reply of `GET /channels/{id}/rtp_statistics`, to what only the far end moves: its RTP, comfort noise and empty packets included,
 * and what its RTCP reports say of ours (`tx…`, `remote_…`, round trip). Throws a `ZodError`.
 */
export function parseFarEndCounts(value: unknown): Record<string, number> {
  const entries = Object.entries(statisticsSchema.parse(value));
  return Object.fromEntries(
    entries.filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number' && FAR_END.test(entry[0]),
    ),
  );
}

/** A mixing bridge as ARI shows it. */
export type AriBridge = z.infer<typeof bridgeSchema>;
/** Parses the reply of `GET /bridges`. Throws a `ZodError`. */
export const parseBridges = (value: unknown): AriBridge[] => bridgesSchema.parse(value);
/** Parses the reply of `GET /asterisk/info`, to when Asterisk has started; empty where it does not say. */
export const parseStartedAt = (value: unknown): string =>
  infoSchema.safeParse(value).data?.status.startup_time ?? '';
/** Parses the reply of `GET /applications/{app}`, to the ids of the channels it holds. Throws a `ZodError`. */
export const parseApplicationChannels = (value: unknown): string[] =>
  applicationSchema.parse(value).channel_ids;

/** Parses the value of a variable. Throws a `ZodError`. */
export const parseVariable = (value: unknown): string => variableSchema.parse(value).value;

/** Where an external media channel (chan_rtp) receives RTP. */
export interface MediaAddress {
  readonly address: string;
  readonly port: number;
}

/** Reads the RTP address from the reply of `POST /channels/externalMedia`. Throws a `ZodError` where it is missing. */
export function parseMediaAddress(value: unknown): MediaAddress {
  const { channelvars } = mediaAddressSchema.parse(value);
  return { address: channelvars.UNICASTRTP_LOCAL_ADDRESS, port: channelvars.UNICASTRTP_LOCAL_PORT };
}

/** Reads the id of a media WebSocket from the reply of `POST /channels/externalMedia`. Throws a `ZodError`. */
export function parseMediaConnectionId(value: unknown): string {
  const { channelvars } = mediaConnectionSchema.parse(value);
  return channelvars.MEDIA_WEBSOCKET_CONNECTION_ID;
}
