import type { z } from 'zod';
import { base64Bytes, decodeBase64 } from './base64.ts';
import type { BotMessage, WireEncoding, WireRate } from './dialect.ts';
import { findPayload } from './long-media.ts';
import { MediaPattern } from './media-pattern.ts';

/** A parsed JSON message. */
export type WireMessage = Readonly<Record<string, unknown>>;

/** A media message as a dialect reads it. Its payload is still base64. */
export type WireMedia =
  | {
      readonly type: 'media';
      readonly payload: string;
      readonly encoding: WireEncoding;
      readonly sampleRate: WireRate;
    }
  | Extract<BotMessage, { type: 'bad' }>;

/** MIME base64 has line breaks (RFC 2045 section 6.8). A blank is not removed: it may be a "+". */
const LINE_BREAKS = /[\r\n]+/g;
const INITIAL_BYTES = 4_096;
/**
 * Longest message other than media, and longest part of a media message besides its payload. Longer
 * ones are not parsed.
 */
const PARSED_MAX_BYTES = 65_536;
// All calls of a thread decode audio into this buffer. It is valid until the next message is read.
let decoded: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);

/**
 * Decodes a bot's messages. `media` parses the frequent one by hand. All others are checked by the
 * schema of their event, whose output is the message with its event.
 */
export class MessageDecoder {
  readonly #controls: Readonly<Record<string, z.ZodType>>;
  readonly #media: (message: WireMessage) => WireMedia;
  readonly #pattern: MediaPattern;
  /** The media message of the pattern, overwritten for each message. */
  #known = {
    type: 'media' as const,
    audio: decoded,
    length: 0,
    encoding: 'pcmu' as WireEncoding,
    sampleRate: 8_000 as WireRate,
  };

  constructor(controls: Readonly<Record<string, z.ZodType>>, media: (message: WireMessage) => WireMedia) {
    this.#controls = controls;
    this.#media = media;
    this.#pattern = new MediaPattern((text) => {
      const message = this.#read(text);
      return message.type === 'media' ? message.payload : undefined;
    });
  }

  /** Decodes the message `bytes[start..end)`, UTF-8. Never throws. */
  decode(bytes: Buffer, start: number, end: number): BotMessage {
    if (end - start > PARSED_MAX_BYTES) return this.#long(bytes, start, end);
    const pattern = this.#pattern;
    const known = this.#known;
    if (pattern.find(bytes, start, end)) {
      known.audio = reserve(pattern.end - pattern.start);
      known.length = decodeBase64(bytes, pattern.start, pattern.end, known.audio);
      if (known.length >= 0) return known;
    }
    const text = bytes.toString('utf8', start, end);
    const message = this.#read(text);
    if (message.type !== 'media') return message;
    const { encoding, sampleRate } = message;
    const payload = message.payload.replaceAll(LINE_BREAKS, '');
    const length = base64Bytes(payload);
    const audio = reserve(length);
    // Node's decoder skips characters that are not base64, so an invalid text decodes to fewer
    // bytes.
    if (length < 0 || audio.write(payload, 0, length, 'base64') !== length)
      return { type: 'bad', code: 'bad-base64', detail: 'media.payload is not base64' };
    if (pattern.learn(text, payload)) this.#known = { ...known, encoding, sampleRate };
    return { type: 'media', audio, length, encoding, sampleRate };
  }

  /** Only media may be long. Its payload is decoded later. */
  #long(text: Buffer, from: number, to: number): BotMessage {
    let bad: Extract<BotMessage, { type: 'bad' }> = {
      type: 'bad',
      code: 'oversize',
      detail: `a message other than media has at most ${PARSED_MAX_BYTES} bytes`,
    };
    const payloadOf = (around: string) => {
      const message = this.#read(around);
      if (message.type === 'bad' && message.code !== 'not-json') bad = message;
      return message.type === 'media' ? message.payload : undefined;
    };
    const found = findPayload(text, from, to, PARSED_MAX_BYTES, payloadOf);
    const media = found && this.#read(found.around);
    if (found === undefined || media?.type !== 'media') return bad;
    const { encoding, sampleRate } = media;
    return { type: 'long-media', text, start: found.start, end: found.end, encoding, sampleRate };
  }

  #read(text: string): WireMedia | Exclude<BotMessage, { type: 'media' }> {
    let message: WireMessage | null;
    // Other JSON, such as Pipecat's messages to its own clients (RTVI), is ignored.
    try {
      message = JSON.parse(text);
    } catch {
      return { type: 'bad', code: 'not-json', detail: 'the message is not JSON' };
    }
    const event = message?.event;
    if (message === null || typeof event !== 'string') return { type: 'unknown', event: '' };
    if (event === 'media') return this.#media(message);
    const schema = Object.hasOwn(this.#controls, event) ? this.#controls[event] : undefined;
    if (schema === undefined) return { type: 'unknown', event };
    const control = schema.safeParse(message);
    if (!control.success) {
      const issue = control.error.issues[0];
      return {
        type: 'bad',
        code: 'bad-field',
        detail: `${event}.${issue?.path.join('.')}: ${issue?.message}`,
      };
    }
    const { event: type, ...fields } = control.data as { event: string };
    return { type, ...fields } as BotMessage as Exclude<BotMessage, { type: 'media' }>;
  }
}

function reserve(bytes: number): Buffer {
  if (bytes > decoded.length) decoded = Buffer.allocUnsafeSlow(bytes);
  return decoded;
}
