import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeBase64, encodeBase64 } from '../src/pipecat/base64.ts';
import type { BotMessage, Dialect, StartFields } from '../src/pipecat/dialect.ts';
import { NativeDialect } from '../src/pipecat/native.ts';
import { TwilioDialect } from '../src/pipecat/twilio.ts';
import type { FuzzTarget } from './target.ts';

const START = { callId: 'c-1', streamId: 's-1', channelId: 's-1', sipProvider: 'acme' } as StartFields;
const DIALECTS = {
  native: () => new NativeDialect('pcmu', 8_000),
  twilio: () => new TwilioDialect(START),
};
const dialect = fc.constantFrom('native' as const, 'twilio' as const);

const EVENTS = ['media', 'clear', 'resume', 'mark', 'dtmf', 'hangup', 'recording', 'transfer', 'constructor'];
const KEYS = [
  'event',
  'payload',
  'media',
  'encoding',
  'sampleRate',
  'name',
  'mark',
  'digits',
  'to',
  '__proto__',
];
const VALUES = [...EVENTS, 'AAAA', 'PCMU', 'pcm16', 8_000, 24_000, null, true, 'QUJD\n'];
const likely = fc.dictionary(
  fc.oneof(fc.constantFrom(...KEYS), fc.string()),
  fc.oneof(fc.constantFrom(...VALUES), fc.jsonValue({ maxDepth: 5 })),
);
const deep = fc
  .tuple(fc.integer({ min: 0, max: 2_000 }), fc.constantFrom('[', '{"event":'), fc.string())
  .map(
    ([depth, open, middle]) =>
      `{"event":"media","sampleRate":${open.repeat(depth)}${JSON.stringify(middle)}${(open === '[' ? ']' : '}').repeat(depth)}}`,
  );
const text = fc.oneof(
  fc.string(),
  fc.json({ maxDepth: 8 }),
  likely.map((value) => JSON.stringify(value)),
  deep,
  fc
    .tuple(fc.constantFrom(...EVENTS), fc.jsonValue({ maxDepth: 3 }))
    .map(([event, value]) => JSON.stringify({ ...(value as object), event })),
);
const bytes = fc.oneof(
  text.map((value) => Buffer.from(value)),
  fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)),
);

/** What a dialect makes of a message which lies somewhere in a buffer; audio copied. */
function decoded(reader: Dialect, message: Buffer): BotMessage & { readonly heard?: string } {
  const around = Buffer.concat([Buffer.from('"}'), message, Buffer.from('{"')]);
  const result = reader.decode(around, 2, around.length - 2);
  if (result.type !== 'media') return result;
  assert.ok(result.length >= 0 && result.length <= result.audio.length);
  const { length, encoding, sampleRate } = result;
  const heard = result.audio.toString('hex', 0, length);
  return { type: 'media', audio: Buffer.alloc(0), length, encoding, sampleRate, heard };
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'dialects: any message is read, without a throw, as one that comes first would be',
    property: fc.property(dialect, fc.array(bytes, { minLength: 1, maxLength: 6 }), (name, messages) => {
      const reader = DIALECTS[name]();
      for (const message of messages)
        assert.deepEqual(decoded(reader, message), decoded(DIALECTS[name](), message));
    }),
  },
  {
    name: 'dialects: JSON without an event of ours is passed over, nothing else is bad for that',
    property: fc.property(dialect, fc.jsonValue({ maxDepth: 6 }), (name, value) => {
      const event = (value as { event?: unknown } | null)?.event;
      if (typeof event === 'string' && EVENTS.includes(event)) return;
      assert.equal(decoded(DIALECTS[name](), Buffer.from(JSON.stringify(value))).type, 'unknown');
    }),
  },
  {
    name: 'dialects: audio comes out as it went in, padded or not, in lines or not, first or later',
    property: fc.property(
      dialect,
      fc.array(fc.uint8Array({ maxLength: 500 }), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 80 }),
      (name, frames, isPadded, lineChars) => {
        const reader = DIALECTS[name]();
        for (const frame of frames) {
          const whole = Buffer.from(frame).toString('base64');
          const plain = isPadded ? whole : whole.replace(/=+$/, '');
          const payload =
            lineChars === 0 ? plain : plain.replaceAll(new RegExp(`.{${lineChars}}`, 'g'), '$&\r\n');
          const body = name === 'native' ? { payload } : { media: { payload } };
          const message = decoded(reader, Buffer.from(JSON.stringify({ event: 'media', ...body })));
          assert.equal(message.type, 'media');
          assert.equal(message.heard, Buffer.from(frame).toString('hex'));
        }
      },
    ),
  },
  {
    name: 'base64: what is written is read, and anything else is refused or as Node reads it',
    property: fc.property(fc.uint8Array({ maxLength: 400 }), fc.string(), (audio, junk) => {
      const source = Buffer.from(audio);
      const written = Buffer.alloc(Math.ceil(source.length / 3) * 4);
      assert.equal(encodeBase64(source, 0, source.length, written, 0), written.length);
      assert.equal(written.toString('latin1'), source.toString('base64'));
      const read = Buffer.alloc(source.length + 3);
      assert.equal(decodeBase64(written, 0, written.length, read), source.length);
      assert.deepEqual(read.subarray(0, source.length), source);
      const text = Buffer.from(junk);
      const target = Buffer.alloc(text.length + 3);
      const length = decodeBase64(text, 0, text.length, target);
      if (length >= 0) assert.deepEqual(target.subarray(0, length), Buffer.from(junk, 'base64'));
    }),
  },
];
