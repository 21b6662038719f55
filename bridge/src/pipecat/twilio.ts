import { createHash } from 'node:crypto';
import { decodeMessage, type WireMessage } from './decode.ts';
import type { BotMessage, BridgeMessage, Dialect, StartFields } from './dialect.ts';
import { TWILIO_CONTROLS } from './wire.ts';

/** Twilio's name of a call, from ours: the same for the same call id. */
export function callSid(callId: string): string {
  return sid('CA', callId);
}

/** An id of the shape that Twilio's have: two letters and 32 hexadecimal digits. */
function sid(prefix: string, id: string): string {
  return `${prefix}${createHash('sha256').update(id).digest('hex').slice(0, 32)}`;
}

/**
 * Twilio Media Streams, bidirectional, mu-law at 8 kHz: `connected`, `start`, `media`, `dtmf`, `mark` and `stop` to the bot. Nothing
 * else is ever sent, because bots made for Twilio may end the call on what they cannot read; from a bot the native `hangup`,
 * `transfer` and `dtmf` are understood too.
 */
export class TwilioDialect implements Dialect {
  readonly #accountSid: string;
  readonly #callSid: string;
  readonly #streamSid: string;
  readonly #mediaTail: string;
  /** Of the message sent last; on the wire, strings. */
  #sequenceNumber = 0;
  #chunk = 0;

  constructor({ callId, streamId, sipProvider }: StartFields) {
    this.#accountSid = sid('AC', sipProvider);
    this.#callSid = callSid(callId);
    this.#streamSid = sid('MZ', streamId);
    this.#mediaTail = `"},"streamSid":"${this.#streamSid}"}`;
  }

  start(fields: StartFields, reconnected: boolean): readonly string[] {
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

  media(source: Buffer, start: number, end: number, timestampMs: number): string {
    this.#sequenceNumber += 1;
    this.#chunk += 1;
    const payload = source.toString('base64', start, end);
    return `{"event":"media","sequenceNumber":"${this.#sequenceNumber}","media":{"track":"inbound","chunk":"${this.#chunk}","timestamp":"${timestampMs}","payload":"${payload}${this.#mediaTail}`;
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

  decode(text: string): BotMessage {
    const message = decodeMessage(text, TWILIO_CONTROLS, readMedia);
    // Pipecat's messages to its own clients (RTVI) have a type in place of an event: they are not for us.
    if (message.type === 'bad' && message.code === 'no-event') return { type: 'unknown', event: '' };
    return message;
  }

  #numbered(event: string, body: object): string {
    this.#sequenceNumber += 1;
    const sequenceNumber = String(this.#sequenceNumber);
    return JSON.stringify({ event, sequenceNumber, ...body, streamSid: this.#streamSid });
  }
}

/** What a TwiML `<Parameter>` would be: strings only. What the bridge knows goes before what a call brought along. */
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
    ...(fields.tenant === undefined ? {} : { tenant: fields.tenant }),
    ...(reconnected ? { reconnected: 'true' } : {}),
  };
}

function readMedia({ media }: WireMessage): BotMessage {
  const payload = (media as WireMessage | null | undefined)?.payload;
  if (typeof payload !== 'string')
    return { type: 'bad', code: 'bad-field', detail: 'media.payload is not a string' };
  return { type: 'media', payload, encoding: 'pcmu', sampleRate: 8_000 };
}
