import { z } from 'zod';
import type { BotMessage, Dialect, StartFields, WireEncoding } from './dialect.ts';

/** Limits of what a bot may send in one message. */
const MARK_NAME_MAX_CHARS = 256;
const DTMF_MAX_DIGITS = 128;

const controlSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('clear') }),
  z.object({ event: z.literal('resume') }),
  z.object({ event: z.literal('mark'), name: z.string().max(MARK_NAME_MAX_CHARS) }),
  z.object({
    event: z.literal('dtmf'),
    digits: z
      .string()
      .regex(/^[0-9A-D*#]+$/i)
      .max(DTMF_MAX_DIGITS),
  }),
  z.object({ event: z.literal('hangup'), immediate: z.boolean().default(false) }),
  z.object({ event: z.literal('transfer'), to: z.string().max(256) }),
]);
const CONTROL_EVENTS = new Set(controlSchema.options.map((option) => option.shape.event.value));
const ENCODINGS: readonly unknown[] = ['pcmu', 'pcma', 'pcm16'] satisfies WireEncoding[];

/** The native dialect of the contract: JSON text with an `event`, audio in base64. */
export class NativeDialect implements Dialect {
  readonly #encoding: WireEncoding;
  readonly #sampleRate: number;
  readonly #mediaHead: string;

  /** `encoding` and `sampleRate` are the call's: what we send, and what a bot's media is when it does not say. */
  constructor(encoding: WireEncoding, sampleRate: number) {
    this.#encoding = encoding;
    this.#sampleRate = sampleRate;
    // All of a media message but two values is the same fifty times a second: it is put together once.
    this.#mediaHead = `{"event":"media","encoding":"${encoding}","sampleRate":${sampleRate},"payload":"`;
  }

  start(fields: StartFields, reconnected: boolean): string {
    return JSON.stringify({
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
      variables: fields.variables,
      app_args: fields.appArgs,
      custom_vars: fields.customVars,
      headers: fields.headers,
      ...(fields.framing === 'binary' ? { framing: 'binary' } : {}),
      ...(reconnected ? { reconnected: true } : {}),
    });
  }

  media(source: Buffer, start: number, end: number, timestampMs: number): string {
    return `${this.#mediaHead}${source.toString('base64', start, end)}","timestamp":${timestampMs}}`;
  }

  answered(): string {
    return '{"event":"answered"}';
  }

  dtmf(digit: string, durationMs: number): string {
    return JSON.stringify({ event: 'dtmf', digit, durationMs });
  }

  mark(name: string, cleared: boolean): string {
    return JSON.stringify(cleared ? { event: 'mark', name, cleared } : { event: 'mark', name });
  }

  cleared(ms: number): string {
    return JSON.stringify({ event: 'cleared', ms: Math.round(ms) });
  }

  speech(state: 'start' | 'stop'): string {
    return JSON.stringify({ event: 'speech', state });
  }

  transferFailed(reason: string): string {
    return JSON.stringify({ event: 'transfer', status: 'failed', reason });
  }

  error(code: string, message: string): string {
    return JSON.stringify({ event: 'error', code, message });
  }

  hangup(reason: string, cause: number, causeText: string): string {
    return JSON.stringify({ event: 'hangup', reason, cause, causeText });
  }

  decode(text: string): BotMessage {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(text);
    } catch {
      return { type: 'bad', code: 'not-json', detail: 'the message is not JSON' };
    }
    const event = message === null ? undefined : message.event;
    if (typeof event !== 'string')
      return { type: 'bad', code: 'no-event', detail: 'the message has no event' };
    if (event === 'media') return this.#media(message);
    if (!CONTROL_EVENTS.has(event as never)) return { type: 'unknown', event };
    const control = controlSchema.safeParse(message);
    if (!control.success) {
      const issue = control.error.issues[0];
      return {
        type: 'bad',
        code: 'bad-field',
        detail: `${event}.${issue?.path.join('.')}: ${issue?.message}`,
      };
    }
    const { event: type, ...fields } = control.data;
    return { type, ...fields } as BotMessage;
  }

  #media(message: Record<string, unknown>): BotMessage {
    const { payload, encoding = this.#encoding, sampleRate = this.#sampleRate } = message;
    if (!ENCODINGS.includes(encoding) || typeof sampleRate !== 'number') {
      return {
        type: 'bad',
        code: 'wrong-encoding',
        detail: 'media.encoding or media.sampleRate is not known',
      };
    }
    if (typeof payload !== 'string') {
      return { type: 'bad', code: 'bad-field', detail: 'media.payload is not a string' };
    }
    return { type: 'media', payload, encoding: encoding as WireEncoding, sampleRate };
  }
}

/** Query parameters of the bot's URL, by the contract's names; absent values are left out. */
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
    sip_context: variables.SIP_CONTEXT,
    agent_id: variables.AGENT_ID ?? agentHeader?.[1],
    transfer_type: variables.TRANSFER_TYPE,
    transfer_sip_domain: variables.TRANSFER_SIP_DOMAIN,
  };
  return Object.fromEntries(
    Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1])),
  );
}
