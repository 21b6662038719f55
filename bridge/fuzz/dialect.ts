import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeBase64, encodeBase64 } from '../src/pipecat/base64.ts';
import type { BotMessage, Dialect, StartFields } from '../src/pipecat/dialect.ts';
import { Draft } from '../src/pipecat/draft.ts';
import { NativeDialect } from '../src/pipecat/native.ts';
import { TwilioDialect } from '../src/pipecat/twilio.ts';
import type { FuzzTarget } from './target.ts';

const START = { callId: 'c-1', streamId: 's-1', channelId: 's-1', sipProvider: 'acme' } as StartFields;
const DIALECTS = {
  native: () => new NativeDialect('pcmu', 8_000),
  twilio: () => new TwilioDialect(START),
};
const dialect = fc.constantFrom('native' as const, 'twilio' as const);

const OURS = ['media', 'clear', 'resume', 'mark', 'dtmf', 'hangup', 'recording', 'transfer'];
const EVENTS = [...OURS, 'constructor', 'toString', '__proto__', 'hasOwnProperty', 'no-such-event'];
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
/** One shape of media message, which the decoder learns, with base64 or not quite. */
const media = fc
  .tuple(
    fc.uint8Array({ maxLength: 60 }),
    fc.constantFrom('', '', '!', '\\', 'A', '=', '====', 'é', ' ', '-_'),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([audio, junk, isFirst, isNative]) => {
    const payload = Buffer.from(audio).toString('base64');
    const odd = isFirst ? junk + payload : payload + junk;
    return isNative
      ? `{"event":"media","payload":"${odd}"}`
      : `{"event":"media","media":{"payload":"${odd}"}}`;
  });
const text = fc.oneof(
  media,
  media,
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

/** What a bot may order (docs/BOTS.md), and what it is read as. */
const order = fc.oneof(
  fc.record({ event: fc.constantFrom('clear', 'resume') }),
  fc.record({ event: fc.constant('mark'), name: fc.string({ maxLength: 256 }) }),
  fc.record({
    event: fc.constant('dtmf'),
    digits: fc.string({ unit: fc.constantFrom(...'0123456789ABCDabcd*#wW,'), minLength: 1, maxLength: 128 }),
  }),
  fc.record({ event: fc.constant('hangup'), immediate: fc.boolean() }),
  fc.record({ event: fc.constant('recording'), state: fc.constantFrom('pause', 'resume') }),
  fc.record(
    {
      event: fc.constant('transfer'),
      to: fc.string({ minLength: 1, maxLength: 256 }),
      provider: fc.string({ maxLength: 80 }),
      mode: fc.constantFrom('blind', 'dialplan'),
      context: fc.string({ maxLength: 80 }),
      extension: fc.string({ maxLength: 80 }),
    },
    { requiredKeys: ['event', 'to'] },
  ),
);
/** Fields that an order must not have like this. */
const BAD_FIELDS: Record<string, object> = {
  mark: { name: 5, mark: { name: 'x'.repeat(257) } },
  dtmf: { digits: '12e' },
  hangup: { immediate: 'yes' },
  recording: { state: 'off' },
  transfer: { to: '' },
};

/** Fields that only a newer or another program knows. */
const MORE_FIELDS = { streamSid: 'MZ1', extra: [1] };

export const targets: readonly FuzzTarget[] = [
  {
    name: 'dialects: documented orders are read as they are, with fields of others or without',
    property: fc.property(dialect, order, fc.boolean(), (name, { event, ...fields }, hasMore) => {
      const isTheirMark = name === 'twilio' && event === 'mark';
      const body = isTheirMark ? { mark: fields } : fields;
      const message = { event, ...body, ...(hasMore ? MORE_FIELDS : {}) };
      const read = decoded(DIALECTS[name](), Buffer.from(JSON.stringify(message)));
      assert.deepEqual({ ...read }, { type: event, ...fields });
      const bad = BAD_FIELDS[event];
      if (bad === undefined) return;
      const wrong = decoded(DIALECTS[name](), Buffer.from(JSON.stringify({ ...message, ...bad })));
      assert.equal(wrong.type === 'bad' && wrong.code, 'bad-field');
    }),
  },
  {
    name: 'dialects: what it says to a bot is JSON that says the same',
    property: fc.property(
      fc.array(
        fc.record({
          audio: fc.uint8Array({ maxLength: 700 }),
          timestampMs: fc.oneof(fc.nat(7_200_000), fc.constantFrom(0, 9, 10, 99, 100, 999_999, 1_000_000)),
          says: fc.option(fc.string(), { nil: undefined }),
        }),
        { maxLength: 12 },
      ),
      (frames) => {
        const draft = new Draft();
        const native = DIALECTS.native();
        const twilio = DIALECTS.twilio();
        let number = 0;
        let chunk = 0;
        for (const { audio, timestampMs, says } of frames) {
          const bytes = Buffer.from(audio);
          const payload = bytes.toString('base64');
          native.media(draft, bytes, 0, bytes.length, timestampMs);
          assert.deepEqual(JSON.parse(draft.bytes.toString('utf8', 0, draft.length)), {
            event: 'media',
            encoding: 'pcmu',
            sampleRate: 8_000,
            payload,
            timestamp: timestampMs,
          });
          twilio.media(draft, bytes, 0, bytes.length, timestampMs);
          const { streamSid, ...theirs } = JSON.parse(draft.bytes.toString('utf8', 0, draft.length));
          assert.match(streamSid, /^MZ[0-9a-f]{32}$/);
          assert.deepEqual(theirs, {
            event: 'media',
            sequenceNumber: String(++number),
            media: { track: 'inbound', chunk: String(++chunk), timestamp: String(timestampMs), payload },
          });
          if (says === undefined) continue;
          const mark = { type: 'mark', name: says, cleared: false } as const;
          assert.deepEqual(JSON.parse(native.encode(mark) ?? ''), { event: 'mark', name: says });
          const { mark: named, sequenceNumber } = JSON.parse(twilio.encode(mark) ?? '');
          assert.deepEqual([named, sequenceNumber], [{ name: says }, String(++number)]);
        }
      },
    ),
  },
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
      if (typeof event === 'string' && OURS.includes(event)) return;
      assert.equal(decoded(DIALECTS[name](), Buffer.from(JSON.stringify(value))).type, 'unknown');
      for (const other of EVENTS.filter((name) => !OURS.includes(name))) {
        const message = Buffer.from(`{"event":${JSON.stringify(other)},"value":1}`);
        assert.equal(decoded(DIALECTS[name](), message).type, 'unknown');
      }
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
      const chars = written.toString('latin1').replace(/=+$/, '');
      for (const more of ['A', '!', 'é']) {
        const text = Buffer.from(chars + more, 'latin1');
        const isWhole = more === 'A' && text.length % 4 !== 1;
        assert.equal(decodeBase64(text, 0, text.length, read) >= 0, isWhole, text.toString('latin1'));
      }
      const text = Buffer.from(junk);
      const target = Buffer.alloc(text.length + 3);
      const length = decodeBase64(text, 0, text.length, target);
      if (length >= 0) assert.deepEqual(target.subarray(0, length), Buffer.from(junk, 'base64'));
    }),
  },
];
