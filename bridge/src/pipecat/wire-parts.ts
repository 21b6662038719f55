import { z } from 'zod';
import { type BotMessage, type BridgeMessage, ENCODINGS, RATES } from './dialect.ts';

/** Limits of what a bot may send in one message. */
const MARK_NAME_MAX_CHARS = 256;
export const DTMF_MAX_DIGITS = 128;
export const TRANSFER_TO_MAX_CHARS = 256;
export const NAME_MAX_CHARS = 80;

export const markName = z.string().max(MARK_NAME_MAX_CHARS);
export const encoding = z.enum(ENCODINGS);
export const sampleRate = z.literal(RATES);
export const strings = z.record(z.string(), z.string());
/** 16 samples of mu-law in base64. */
export const PAYLOAD = '//79/Pv6+fj39vX08/Lx8A==';

/** What a message is for, and what it looks like. */
export function means(description: string, ...examples: object[]) {
  return { description, examples };
}

/** What a bot may say, whatever the dialect. */
export type FromBot = Exclude<BotMessage['type'], 'unknown' | 'bad' | 'long-media'>;
/** What a bot may be told, whatever the dialect. */
export type ToBot = 'start' | 'media' | BridgeMessage['type'];

/** An id of the shape that Twilio's have. */
export function sid(prefix: string) {
  return z.string().regex(new RegExp(`^${prefix}[0-9a-f]{32}$`));
}

/** An example of such an id. */
export function sidOf(prefix: string): string {
  return `${prefix}${'0123456789abcdef'.repeat(2)}`;
}
