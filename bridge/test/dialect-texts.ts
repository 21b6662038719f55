import type { BotMessage, Dialect } from '../src/pipecat/dialect.ts';
import { Draft } from '../src/pipecat/draft.ts';

type Media = Extract<BotMessage, { type: 'media' }>;

/** A message as a dialect has read it, its audio in base64 again: a test may keep it. */
export type DecodedText =
  | Exclude<BotMessage, Media>
  | (Omit<Media, 'audio' | 'length'> & { readonly payload: string });

/** What a dialect makes of a text, which lies somewhere in a buffer as in the read buffer of a socket. */
export function decodeText(dialect: Pick<Dialect, 'decode'>, text: string): DecodedText {
  const bytes = Buffer.from(`"}${text}{"`);
  const message = dialect.decode(bytes, 2, bytes.length - 2);
  if (message.type !== 'media') return message;
  const { audio, length, ...rest } = message;
  return { ...rest, payload: audio.toString('base64', 0, length) };
}

/** The text of a media message of the audio `source[start..end)`. */
export function mediaText(
  dialect: Dialect,
  source: Buffer,
  start: number,
  end: number,
  timestampMs: number,
): string {
  const draft = new Draft();
  dialect.media(draft, source, start, end, timestampMs);
  return draft.bytes.toString('utf8', 0, draft.length);
}
