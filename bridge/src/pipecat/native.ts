import { MessageDecoder, type WireMedia, type WireMessage } from './decode.ts';
import {
  type BotMessage,
  type BridgeMessage,
  type Dialect,
  ENCODINGS,
  RATES,
  type StartFields,
  type WireEncoding,
  type WireRate,
} from './dialect.ts';
import { base64Length, type Draft } from './draft.ts';
import { CONTROLS } from './native-wire.ts';

/** Characters of a bot's value that are repeated to it and in the log. */
const SHOWN_CHARS = 32;
const MEDIA_MIDDLE = Buffer.from('","timestamp":');
const MEDIA_TAIL = Buffer.from('}');
/** Upper limit of a media message without its payload, bytes. */
const MEDIA_EXTRA_BYTES = 128;

/** The native dialect (docs/BOTS.md): JSON text with an `event`, audio in base64. */
export class NativeDialect implements Dialect {
  readonly #encoding: WireEncoding;
  readonly #sampleRate: number;
  readonly #mediaHead: Buffer;
  readonly #decoder: MessageDecoder;

  /**
   * `encoding` and `sampleRate` are those of the call: of the audio sent, and of the bot's media
   * unless it says otherwise.
   */
  constructor(encoding: WireEncoding, sampleRate: number) {
    this.#encoding = encoding;
    this.#sampleRate = sampleRate;
    // All of a media message but two values is constant, so it is built once.
    this.#mediaHead = Buffer.from(
      `{"event":"media","encoding":"${encoding}","sampleRate":${sampleRate},"payload":"`,
    );
    this.#decoder = new MessageDecoder(CONTROLS, (message) => this.#media(message));
  }

  start(fields: StartFields, reconnected: boolean): readonly string[] {
    const message = {
      event: 'start',
      callId: fields.callId,
      call_id: fields.callId,
      streamId: fields.streamId,
      tenant: fields.tenant,
      encoding: fields.encoding,
      sampleRate: fields.sampleRate,
      direction: fields.direction,
      channel_id: fields.channelId,
      sip_call_id: fields.sipCallId,
      sip_provider: fields.sipProvider,
      from: fields.from,
      to: fields.to,
      callerIdPresentation: fields.callerIdPresentation,
      variables: fields.variables,
      app_args: fields.appArgs,
      custom_vars: fields.customVars,
      headers: fields.headers,
      ...(fields.framing === 'binary' ? { framing: 'binary' } : {}),
      ...(reconnected ? { reconnected: true } : {}),
    };
    return [JSON.stringify(message)];
  }

  media(draft: Draft, source: Buffer, start: number, end: number, timestampMs: number): void {
    draft.begin(true, MEDIA_EXTRA_BYTES + base64Length(end - start));
    draft.copy(this.#mediaHead);
    draft.base64(source, start, end);
    draft.copy(MEDIA_MIDDLE);
    draft.decimal(timestampMs);
    draft.copy(MEDIA_TAIL);
  }

  encode(message: BridgeMessage): string {
    const { type: event, ...fields } = message;
    if (message.type === 'mark' && !message.cleared) return JSON.stringify({ event, name: message.name });
    return JSON.stringify({ event, ...fields });
  }

  decode(bytes: Buffer, start: number, end: number): BotMessage {
    return this.#decoder.decode(bytes, start, end);
  }

  #media({
    payload,
    encoding: said = this.#encoding,
    sampleRate = this.#sampleRate,
  }: WireMessage): WireMedia {
    const encoding = typeof said === 'string' ? said.toLowerCase() : said;
    if (!ENCODINGS.includes(encoding as WireEncoding) || !RATES.includes(sampleRate as WireRate)) {
      const detail = `the bot sends ${shown(said)} at ${shown(sampleRate)} Hz; this call is ${this.#encoding} at ${this.#sampleRate} Hz, and ${listed(ENCODINGS)} at ${listed(RATES)} Hz are taken`;
      return { type: 'bad', code: 'wrong-encoding', detail };
    }
    if (typeof payload !== 'string') {
      return { type: 'bad', code: 'bad-field', detail: 'media.payload is not a string' };
    }
    return { type: 'media', payload, encoding: encoding as WireEncoding, sampleRate: sampleRate as WireRate };
  }
}

/** Values as words: `a, b and c`. */
const listed = (values: readonly (string | number)[]): string =>
  `${values.slice(0, -1).join(', ')} and ${values.at(-1)}`;

/** A value of a bot's message for display: cut, without control characters. */
function shown(value: unknown): string {
  const text = typeof value === 'object' ? 'an object' : String(value);
  return JSON.stringify(text.slice(0, SHOWN_CHARS)).slice(1, -1);
}

/** Query parameters of the bot's URL, by the names in docs/BOTS.md. Absent values are left out. */
export function startQuery(fields: StartFields): Record<string, string> {
  const { variables } = fields;
  // SIP header names are case-insensitive (RFC 3261 section 7.3.1).
  const agentHeader = Object.entries(fields.headers).find(([name]) => name.toLowerCase() === 'x-agent-id');
  const query: Record<string, string | undefined> = {
    call_id: fields.callId,
    encoding: fields.encoding,
    sample_rate: String(fields.sampleRate),
    tenant: fields.tenant,
    direction: fields.direction,
    sip_provider: fields.sipProvider,
    from_number: fields.from,
    to_number: fields.to,
    caller_id_presentation: fields.callerIdPresentation,
    sip_context: variables.SIP_CONTEXT,
    agent_id: variables.AGENT_ID ?? agentHeader?.[1],
    transfer_type: variables.TRANSFER_TYPE,
    transfer_sip_domain: variables.TRANSFER_SIP_DOMAIN,
  };
  return Object.fromEntries(
    Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
}
