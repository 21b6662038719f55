import { createHash } from 'node:crypto';
import { MessageDecoder, type WireMedia, type WireMessage } from './decode.ts';
import type { BotMessage, BridgeMessage, Dialect, StartFields } from './dialect.ts';
import { base64Length, type Draft } from './draft.ts';
import { TWILIO_CONTROLS } from './twilio-wire.ts';

const MEDIA_HEAD = Buffer.from('{"event":"media","sequenceNumber":"');
const MEDIA_CHUNK = Buffer.from('","media":{"track":"inbound","chunk":"');
const MEDIA_TIME = Buffer.from('","timestamp":"');
const MEDIA_PAYLOAD = Buffer.from('","payload":"');
/** Upper limit of a media message without its payload, bytes. */
const MEDIA_EXTRA_BYTES = 256;

/**
 * Twilio's identifier of a call, made from its channel id. It is unique even if API clients ask for
 * equal call ids. Each connection of the call has its own: a hang-up by REST names nothing else,
 * and a bot whose connection is over must not hang up on the next one.
 */
export function callSid(channelId: string, connectionId = ''): string {
  return sid('CA', `${channelId}${connectionId}`);
}

/** An identifier in Twilio's form: two letters and 32 hexadecimal digits. */
function sid(prefix: string, id: string): string {
  return `${prefix}${createHash('sha256').update(id).digest('hex').slice(0, 32)}`;
}

/**
 * Twilio Media Streams, bidirectional, mu-law at 8 kHz. Sends `connected`, `start`, `media`,
 * `dtmf`, `mark` and `stop` to the bot. Nothing else is sent, because bots made for Twilio may end
 * the call on unknown messages. From a bot the native `hangup`, `transfer` and `dtmf` are accepted
 * too.
 */
export class TwilioDialect implements Dialect {
  readonly #accountSid: string;
  readonly #channelId: string;
  #callSid = '';
  readonly #streamSid: string;
  readonly #mediaTail: Buffer;
  readonly #decoder = new MessageDecoder(TWILIO_CONTROLS, readMedia);
  /** Sequence number of the last message. Numbers are strings in the messages. */
  #sequenceNumber = 0;
  #chunk = 0;

  constructor({ channelId, streamId, sipProvider }: StartFields) {
    this.#accountSid = sid('AC', sipProvider);
    this.#channelId = channelId;
    this.#streamSid = sid('MZ', streamId);
    this.#mediaTail = Buffer.from(`"},"streamSid":"${this.#streamSid}"}`);
  }

  start(fields: StartFields, reconnected: boolean, connectionId?: string): readonly string[] {
    this.#callSid = callSid(this.#channelId, connectionId);
    this.#sequenceNumber = 0;
    this.#chunk = 0;
    const connected = { event: 'connected', protocol: 'Call', version: '1.0.0' };
    const start = {
      accountSid: this.#accountSid,
      streamSid: this.#streamSid,
      callSid: this.#callSid,
      tracks: ['inbound'],
      mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
      customParameters: customParameters(fields, reconnected),
    };
    return [JSON.stringify(connected), this.#numbered('start', { start })];
  }

  media(draft: Draft, source: Buffer, start: number, end: number, timestampMs: number): void {
    this.#sequenceNumber += 1;
    this.#chunk += 1;
    draft.begin(true, MEDIA_EXTRA_BYTES + base64Length(end - start));
    draft.copy(MEDIA_HEAD);
    draft.decimal(this.#sequenceNumber);
    draft.copy(MEDIA_CHUNK);
    draft.decimal(this.#chunk);
    draft.copy(MEDIA_TIME);
    draft.decimal(timestampMs);
    draft.copy(MEDIA_PAYLOAD);
    draft.base64(source, start, end);
    draft.copy(this.#mediaTail);
  }

  encode(message: BridgeMessage): string | undefined {
    switch (message.type) {
      case 'dtmf':
        return this.#numbered('dtmf', { dtmf: { track: 'inbound_track', digit: message.digit } });
      case 'mark':
        return this.#numbered('mark', { mark: { name: message.name } });
      case 'hangup':
        return this.#numbered('stop', { stop: { accountSid: this.#accountSid, callSid: this.#callSid } });
      default:
        return undefined;
    }
  }

  decode(bytes: Buffer, start: number, end: number): BotMessage {
    return this.#decoder.decode(bytes, start, end);
  }

  #numbered(event: string, body: object): string {
    this.#sequenceNumber += 1;
    const sequenceNumber = String(this.#sequenceNumber);
    return JSON.stringify({ event, sequenceNumber, ...body, streamSid: this.#streamSid });
  }
}

/**
 * The values of TwiML `<Parameter>`: strings only. Values of the bridge override those of the call.
 */
function customParameters(fields: StartFields, reconnected: boolean): Record<string, string> {
  return {
    ...fields.headers,
    ...fields.variables,
    ...fields.customVars,
    call_id: fields.callId,
    from_number: fields.from,
    to_number: fields.to,
    sip_provider: fields.sipProvider,
    direction: fields.direction,
    ...(fields.callerIdPresentation === undefined
      ? {}
      : { caller_id_presentation: fields.callerIdPresentation }),
    ...(fields.tenant === undefined ? {} : { tenant: fields.tenant }),
    ...(reconnected ? { reconnected: 'true' } : {}),
  };
}

function readMedia({ media }: WireMessage): WireMedia {
  const payload = (media as WireMessage | null | undefined)?.payload;
  if (typeof payload !== 'string')
    return { type: 'bad', code: 'bad-field', detail: 'media.payload is not a string' };
  return { type: 'media', payload, encoding: 'pcmu', sampleRate: 8_000 };
}
