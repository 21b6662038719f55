import type { BotMessage, Dialect } from '../src/pipecat/dialect.ts';
import { Draft } from '../src/pipecat/draft.ts';
import { Base64Slices } from '../src/pipecat/long-media.ts';

type Media = Extract<BotMessage, { type: 'media' }>;
type LongMedia = Extract<BotMessage, { type: 'long-media' }>;

/** A message as a dialect has read it, its audio in base64 again: a test may keep it. */
export type DecodedText =
  | Exclude<BotMessage, Media | LongMedia>
  | (Omit<Media, 'audio' | 'length'> & { readonly payload: string });

/**
 * What a dialect reads from a text that lies at some offset in a buffer, as in the read buffer of a
 * socket.
 */
export function decodeText(dialect: Pick<Dialect, 'decode'>, text: string): DecodedText {
  const bytes = Buffer.from(`"}${text}{"`);
  const message = dialect.decode(bytes, 2, bytes.length - 2);
  if (message.type === 'long-media') return decodeSlices(message);
  if (message.type !== 'media') return message;
  const { audio, length, ...rest } = message;
  return { ...rest, payload: audio.toString('base64', 0, length) };
}

function decodeSlices({ text, start, end, encoding, sampleRate }: LongMedia): DecodedText {
  const slices = new Base64Slices(text, start, end);
  const audio: Buffer[] = [];
  while (!slices.isDone) {
    const slice = slices.next();
    if (slice === undefined) return { type: 'bad', code: 'bad-base64', detail: 'a slice' };
    audio.push(Buffer.from(slice));
  }
  return { type: 'media', encoding, sampleRate, payload: Buffer.concat(audio).toString('base64') };
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
