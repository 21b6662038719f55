import type { AriChannel } from '../ari/model.ts';
import type { RecordingMode, Transport } from '../config/media-settings.ts';
import type { Provider } from '../config/providers.ts';
import {
  type DialectName,
  type Direction,
  ENCODINGS,
  type Framing,
  RATES,
  type StartFields,
  type WireEncoding,
  type WireRate,
} from '../pipecat/dialect.ts';
import { printable, wellFormed } from '../text/outside-text.ts';
import type { Adopted } from './adopted.ts';
import { isUsableId } from './call-ids.ts';
import { presentationOf, WITHHELD } from './presentation.ts';

/**
 * Channel variables that a call may have (docs/API.md, "Channel variables"). Our dialplan sets
 * `SIP_HEADERS` and `SIP_CALL_ID`.
 */
export const CALL_VARIABLES = [
  'X_CALL_ID',
  'X_TENANT',
  'X_CODEC',
  'X_SR',
  'X_CALLBACK_URL',
  'INBOUND_PROVIDER',
  'INBOUND_DID',
  'INBOUND_FROM',
  'SIP_CONTEXT',
  'AGENT_ID',
  'CUSTOM_CALL_ID',
  'CUSTOM_VARS',
  'TRANSFER_TYPE',
  'TRANSFER_SIP_DOMAIN',
  'SIP_CALL_ID',
  'SIP_FROM_TAG',
  'SIP_HEADERS',
  'X_TRANSPORT',
  'X_RECORD',
  'INBOUND_PRESENTATION',
  'INBOUND_WAIT_S',
] as const;

/** Variables that neither bot nor record is shown. */
const INTERNAL_VARIABLES = [
  'SIP_HEADERS',
  'X_CALLBACK_URL',
  'INBOUND_PRESENTATION',
  'INBOUND_WAIT_S',
  'SIP_FROM_TAG',
];
const PAIRS_MAX = 64;
/** Longest value of a variable or header. */
const VALUE_MAX_CHARS = 8_192;

/**
 * The facts of a call when it reaches the bridge: the bot's start fields, and what only the bridge
 * uses.
 */
export interface CallInfo extends StartFields {
  /** Hz. Above 8000 only with the WebSocket transport and pcm16. */
  readonly sampleRate: WireRate;
  /** The bot's wire format. */
  readonly dialect: DialectName;
  /** Media transport to Asterisk. */
  readonly transport: Transport;
  readonly recording: RecordingMode;
  /** The requested id, if another call has it. This call then has an id of its own. */
  readonly requestedCallId?: string | undefined;
  readonly callbackUrl: string | undefined;
  /**
   * Unix time, ms, of the dial or of the offer to a previous process. Absent if the call began in
   * this process.
   */
  readonly dialledAtMs?: number | undefined;
  /** When it was answered, if that was in a previous process. Unix time, ms. */
  readonly answeredAtMs?: number | undefined;
  /** Longest duration after the answer, if its order sets one. */
  readonly maxDurationMs?: number | undefined;
  /** The dialplan lets the caller hear ringing, and waits for us for a limited time. */
  readonly isRinging?: boolean;
  /** For a call that a previous process has served. */
  readonly adopted?: Adopted | undefined;
  /** Requested values that cannot be used, for the log. */
  readonly remarks: readonly string[];
}

/** A call's values if neither the call nor its provider sets them. */
export interface CallDefaults {
  readonly encoding: WireEncoding;
  readonly sampleRate: WireRate;
  readonly transport: Transport;
  readonly framing: Framing;
  readonly dialect: DialectName;
}

/** The sources of a call's facts. */
export interface CallSource {
  readonly channel: AriChannel;
  readonly appArgs: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  /** ARI has reported a dial: the channel was originated. */
  readonly wasDialled: boolean;
  /** The dialled number, if Asterisk reported it apart from the channel (outbound). */
  readonly dialled: string | undefined;
  readonly dialledAtMs?: number | undefined;
  readonly provider: Provider | undefined;
  readonly defaults: CallDefaults;
  /** Generates an id for a call that has none, or that has another call's. */
  readonly newId: () => string;
  /** Whether the call may have the id that it asks for. Absent: it may. */
  readonly mayHave?: (id: string) => boolean;
}

/** Collects the facts of a call. Never throws: an unusable value is omitted, with a remark. */
export function describeCall(source: CallSource): CallInfo {
  const { channel, variables, provider } = source;
  const direction = directionOf(source);
  const remarks: string[] = [];
  // The dialplan sets SIP_HEADERS for trusted providers only.
  const headers = parsePairs(variables.SIP_HEADERS ?? '');
  const customVars = parsePairs(variables.CUSTOM_VARS ?? header(headers, 'X-Custom-Vars') ?? '');
  const ids = [header(headers, 'X-Call-ID'), variables.X_CALL_ID, source.appArgs[0]];
  const wished = ids.find(isUsableId);
  const isGiven = wished !== undefined && (source.mayHave?.(wished) ?? true);
  if (wished !== undefined && !isGiven)
    remarks.push(`the call id ${wished} is another call's: a new one is given`);
  const dialect = provider?.dialect[direction] ?? source.defaults.dialect;
  const format = callFormat(source, dialect, remarks);
  const shown = Object.entries(variables).filter(([name]) => !INTERNAL_VARIABLES.includes(name));
  const number = (direction === 'inbound' && variables.INBOUND_FROM) || fromNumber(channel, direction);
  const presentation =
    direction === 'inbound' ? presentationOf(variables.INBOUND_PRESENTATION, number) : undefined;
  const isHidden = presentation === 'restricted' && provider?.passesWithheldNumbers !== true;
  const from = isHidden ? WITHHELD : number;
  const did = direction === 'inbound' ? variables.INBOUND_DID : source.dialled;
  return {
    callId: isGiven ? wished : source.newId(),
    requestedCallId: isGiven ? undefined : wished,
    streamId: channel.id,
    tenant: printable(variables.X_TENANT ?? '') || provider?.tenant,
    dialect,
    ...format,
    direction,
    channelId: channel.id,
    sipCallId: printable(variables.SIP_CALL_ID || channel.protocol_id),
    sipProvider: printable(providerName(channel) ?? variables.INBOUND_PROVIDER ?? ''),
    from: printable(from),
    to: printable(did || toNumber(channel, direction)),
    callerIdPresentation: presentation,
    variables: {
      ...wellFormed(Object.fromEntries(shown), VALUE_MAX_CHARS),
      ...(isHidden && variables.INBOUND_FROM ? { INBOUND_FROM: WITHHELD } : {}),
    },
    appArgs: source.appArgs.map((arg) => arg.slice(0, VALUE_MAX_CHARS).toWellFormed()),
    customVars: wellFormed(customVars, VALUE_MAX_CHARS),
    headers: wellFormed(headers, VALUE_MAX_CHARS),
    recording: recordingMode(source, remarks),
    callbackUrl: variables.X_CALLBACK_URL || undefined,
    dialledAtMs: source.dialledAtMs,
    isRinging: Boolean(variables.INBOUND_WAIT_S),
    remarks,
  };
}

/**
 * Whether a channel is a telephone line. Others (`Local/…`, media channels) are internal to
 * Asterisk.
 */
export function isTelephone(channel: AriChannel): boolean {
  return channel.name.startsWith('PJSIP/');
}

/** The provider: the PJSIP endpoint in a channel's name (`PJSIP/NAME-00000042`). */
export function providerName(channel: AriChannel): string | undefined {
  return /^PJSIP\/(.+)-[0-9a-f]{8}$/i.exec(channel.name)?.[1];
}

/** Parses `a=1&b=2`, URL-encoded, up to a limit of pairs. */
export function parsePairs(text: string): Record<string, string> {
  // A plus is read as a plus (`+4930…`), not as a space as in HTML forms.
  const pairs = [...new URLSearchParams(text.replaceAll('+', '%2B'))]
    .filter(([name]) => name !== '')
    .slice(0, PAIRS_MAX);
  return Object.fromEntries(pairs);
}

/**
 * Outbound if the channel was originated. Asterisk gives such a channel the extension `s`, which
 * also shows it if its Dial event was missed.
 */
function directionOf({ channel, variables, wasDialled }: CallSource): Direction {
  const isOriginated = wasDialled || (channel.dialplan.exten === 's' && !variables.INBOUND_DID);
  return isOriginated ? 'outbound' : 'inbound';
}

function header(headers: Readonly<Record<string, string>>, name: string): string | undefined {
  // SIP header names are case-insensitive (RFC 3261 section 7.3.1).
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

/** Audio format of the bot, and a media transport that can carry it. */
function callFormat(source: CallSource, dialect: DialectName, remarks: string[]) {
  const { variables, provider, defaults } = source;
  const asked = askedFormat(source, remarks);
  const format = dialect === 'twilio' ? TWILIO_FORMAT : asked;
  if (format.encoding !== asked.encoding || format.framing !== asked.framing)
    remarks.push('the Twilio dialect has pcmu at 8000 Hz in JSON only');
  const wished = variables.X_TRANSPORT;
  const chosen =
    wished === 'rtp' || wished === 'websocket' ? wished : (provider?.transport ?? defaults.transport);
  // Asterisk's RTP external media carries G.711 (and G.722) only.
  const transport: Transport = format.sampleRate > 8_000 ? 'websocket' : chosen;
  return { ...format, transport };
}

interface BotFormat {
  readonly encoding: WireEncoding;
  readonly sampleRate: WireRate;
  readonly framing: Framing;
}

const TWILIO_FORMAT: BotFormat = { encoding: 'pcmu', sampleRate: 8_000, framing: 'json' };

/** Encoding, rate and framing as requested, if they are valid. */
function askedFormat({ variables, provider, defaults }: CallSource, remarks: string[]): BotFormat {
  const asked = variables.X_CODEC?.toLowerCase();
  const known = ENCODINGS.find((encoding) => encoding === asked);
  if (asked && known === undefined)
    remarks.push(`X_CODEC: not one of ${ENCODINGS.join(', ')}; the default is taken`);
  const encoding = known ?? provider?.encoding ?? defaults.encoding;
  const rate = variables.X_SR
    ? Number(variables.X_SR)
    : encoding === 'pcm16'
      ? (provider?.sampleRate ?? defaults.sampleRate)
      : 8_000;
  const sampleRate = RATES.find((each) => each === rate && (each === 8_000 || encoding === 'pcm16'));
  if (sampleRate === undefined) remarks.push(`X_SR: ${encoding} has no such rate here; taken as 8000`);
  return { encoding, sampleRate: sampleRate ?? 8_000, framing: provider?.framing ?? defaults.framing };
}

function recordingMode({ variables, provider }: CallSource, remarks: string[]): RecordingMode {
  const asked = variables.X_RECORD;
  if (asked === 'on' || asked === 'off' || asked === 'paused') return asked;
  if (asked) remarks.push('X_RECORD: not one of on, off, paused; the default is taken');
  return provider?.recording ?? 'off';
}

function fromNumber(channel: AriChannel, direction: Direction): string {
  return direction === 'inbound' ? channel.caller.number : channel.connected.number;
}

function toNumber(channel: AriChannel, direction: Direction): string {
  return direction === 'inbound' ? channel.dialplan.exten : channel.caller.number;
}
