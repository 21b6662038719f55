import type { Bot, Reactions } from './bot.ts';
import { MARKER_HZ } from './tones.ts';

/** Larger than any bridge should take, in characters. */
const OVERSIZE = 6_000_000;

/** One bad message of each kind, by what is wrong with it. The last is the largest. */
export const GARBAGE: Readonly<Record<string, () => string | Buffer>> = {
  'no JSON': () => 'this is no JSON',
  'cut JSON': () => '{"event":"media","payload":"',
  'JSON null': () => 'null',
  'JSON array': () => '[1,2,3]',
  'no event': () => '{}',
  'event is a number': () => '{"event":5}',
  'unknown event': () => '{"event":"nonsense"}',
  'media without payload': () => '{"event":"media"}',
  'payload is a number': () => '{"event":"media","payload":7}',
  'bad base64': () => '{"event":"media","payload":"***!"}',
  'wrong encoding': () => '{"event":"media","encoding":"opus","payload":"AAAA"}',
  'wrong sample rate': () => '{"event":"media","sampleRate":11025,"payload":"AAAA"}',
  'dtmf of letters': () => '{"event":"dtmf","digits":"xyz"}',
  'mark without name': () => '{"event":"mark"}',
  'transfer to nowhere': () => '{"event":"transfer"}',
  'binary frame': () => Buffer.from([0, 1, 2, 255]),
  oversize: () => `{"event":"media","payload":"${'A'.repeat(OVERSIZE)}"}`,
};

/** From bad message to bad message, in ms. */
const EVERY_MS = 100;

/** Sends each piece of garbage once while a tone goes on: the caller must hear no break. */
export function garbage(bot: Bot): Reactions {
  bot.endlessTone(bot.options.tone_hz ?? MARKER_HZ);
  Object.values(GARBAGE).forEach((make, i) => {
    bot.after((i + 1) * EVERY_MS, () => bot.sendRaw(make()));
  });
  return {};
}
