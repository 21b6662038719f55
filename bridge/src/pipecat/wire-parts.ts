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

/** Adds the description and examples of a message. */
export function means(description: string, ...examples: object[]) {
  return { description, examples };
}

/** Messages that a bot may send, in any dialect. */
export type FromBot = Exclude<BotMessage['type'], 'unknown' | 'bad' | 'long-media'>;
/** Messages that a bot may be sent, in any dialect. */
export type ToBot = 'start' | 'media' | BridgeMessage['type'];

/** Schema of an identifier in Twilio's form. */
export function sid(prefix: string) {
  return z.string().regex(new RegExp(`^${prefix}[0-9a-f]{32}$`));
}

/** An example of such an identifier. */
export function sidOf(prefix: string): string {
  return `${prefix}${'0123456789abcdef'.repeat(2)}`;
}
