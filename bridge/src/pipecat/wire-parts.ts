import { z } from 'zod';
import { type BotMessage, type BridgeMessage, ENCODINGS, RATES } from './dialect.ts';

/** Limits of what a bot may send in one message. */
const MARK_NAME_MAX_CHARS = 256;
/** Most keys in one message. */
export const DTMF_MAX_DIGITS = 128;
/** Longest `to` of a transfer, characters. */
export const TRANSFER_TO_MAX_CHARS = 256;
/** Longest name of a context or provider, and longest extension, characters. */
export const NAME_MAX_CHARS = 80;

/** The name of a mark: the bot's own text. */
export const markName = z.string().max(MARK_NAME_MAX_CHARS);
/** Encoding of audio. */
export const encoding = z.enum(ENCODINGS);
/** Sample rate of audio, Hz. */
export const sampleRate = z.literal(RATES);
/** Texts by name, such as variables of a channel. */
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
