import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeText } from '../../test/dialect-texts.ts';
import { MessageDecoder } from './decode.ts';
import type { Dialect, StartFields } from './dialect.ts';
import { NativeDialect } from './native.ts';
import { TwilioDialect } from './twilio.ts';

const START = { callId: 'c-1', channelId: 'ch-1', streamId: 's-1', sipProvider: 'acme' } as StartFields;
const native = () => new NativeDialect('pcmu', 8000);
const twilio = () => new TwilioDialect(START);
const message = (payload: string) => JSON.stringify({ event: 'media', payload });

/** A decoder that has learnt how its bot writes media. */
function taught(): Dialect {
  const dialect = native();
  decodeText(dialect, message('AAAA'));
  return dialect;
}

describe('audio of a bot', () => {
  const media = { type: 'media', encoding: 'pcmu', sampleRate: 8000 };

  test('is read with its padding and without, by the alphabet of URLs too, in the first message and later ones', () => {
    const payloads = ['', 'QQ==', 'QQ', 'QUI=', 'QUI', 'QUJD', '+/+/', '-_-_', '-_8', 'QR=='];
    for (const dialect of [native(), taught()]) {
      for (const payload of payloads) {
        const expected = Buffer.from(payload, 'base64').toString('base64');
        assert.deepEqual(decodeText(dialect, message(payload)), { ...media, payload: expected }, payload);
      }
    }
  });

  test('that is no base64 is refused, in the first message and in later ones', () => {
    const bad = [
      'A',
      'AAAAA',
      'A*==',
      '????',
      'QU JD',
      'QUJD\t',
      '\nA',
      'Aé==',
      'AA=A',
      '====',
      'é'.repeat(9_000),
    ];
    const refused = { type: 'bad', code: 'bad-base64', detail: 'media.payload is not base64' };
    for (const payload of bad) {
      for (const dialect of [native(), taught()]) {
        assert.deepEqual(decodeText(dialect, message(payload)), refused, payload.slice(0, 10));
        assert.deepEqual(decodeText(dialect, message('QUJD')), { ...media, payload: 'QUJD' });
      }
    }
  });

  test('is read across line breaks, as RFC 2045 section 6.8 writes it', () => {
    for (const payload of ['QUJD\n', 'QU\r\nJD', '\nQUJD', 'Q\nU\nJ\nD\n', 'QUI=\r\n', 'QQ=\n=']) {
      const expected = Buffer.from(payload.replaceAll(/\s/g, ''), 'base64').toString('base64');
      for (const dialect of [native(), taught()]) {
        assert.deepEqual(decodeText(dialect, message(payload)), { ...media, payload: expected }, payload);
        assert.deepEqual(decodeText(dialect, message('QUJD')), { ...media, payload: 'QUJD' });
      }
    }
  });

  test('is of the encoding that its message says in capitals', () => {
    const say = (encoding: string) =>
      decodeText(native(), JSON.stringify({ event: 'media', encoding, payload: 'AAAA' }));
    assert.deepEqual(say('PCMU'), { ...media, payload: 'AAAA' });
    assert.deepEqual(say('Pcma'), { ...media, encoding: 'pcma', payload: 'AAAA' });
    assert.deepEqual(say('PCM16'), { ...media, encoding: 'pcm16', payload: 'AAAA' });
  });

  test('is read whatever its length, also beyond what was read before', () => {
    const dialects = [native(), taught(), native()];
    for (const bytes of [4_095, 4_096, 4_097, 9_001, 3, 100_000, 50]) {
      const payload = Buffer.alloc(bytes, bytes).toString('base64');
      for (const dialect of dialects)
        assert.deepEqual(decodeText(dialect, message(payload)), { ...media, payload });
    }
  });

  test('is of the encoding that its own message says', () => {
    const dialect = native();
    const say = (encoding: string, sampleRate: number) =>
      decodeText(dialect, JSON.stringify({ event: 'media', encoding, sampleRate, payload: 'AAAA' }));
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(say('pcm16', 16_000), {
        type: 'media',
        encoding: 'pcm16',
        sampleRate: 16_000,
        payload: 'AAAA',
      });
      assert.deepEqual(say('pcma', 8_000), { ...media, encoding: 'pcma', payload: 'AAAA' });
      assert.deepEqual(decodeText(dialect, message('AAAA')), { ...media, payload: 'AAAA' });
    }
  });
});

/** A decoder, and how often it has read a media message by way of the parser. */
function counted() {
  const state = { parsed: 0 };
  const decoder = new MessageDecoder({}, ({ payload }) => {
    state.parsed += 1;
    return { type: 'media', payload: payload as string, encoding: 'pcma', sampleRate: 8_000 };
  });
  return { state, decoder };
}

describe('a decoder', () => {
  test('parses the first of many messages that differ in their payload only, and the one that none has learnt', () => {
    const { state, decoder } = counted();
    decodeText(decoder, message('AAAA'));
    const { parsed } = state;
    for (let i = 0; i < 100; i++) {
      const payload = Buffer.alloc(i, i).toString('base64');
      assert.deepEqual(decodeText(decoder, message(payload)), {
        type: 'media',
        payload,
        encoding: 'pcma',
        sampleRate: 8_000,
      });
    }
    assert.equal(state.parsed, parsed);
    decodeText(decoder, ` ${message('AAAA')}`);
    assert.ok(state.parsed > parsed);
  });

  test('does no more than parse, once it has found no pattern for long enough', () => {
    const { state, decoder } = counted();
    const say = (n: number) => decodeText(decoder, `{"event":"media","n":${n},"payload":"AAAA"}`);
    for (let n = 0; n < 32; n++) say(n);
    const { parsed } = state;
    for (let n = 32; n < 132; n++) assert.equal(say(n).type, 'media');
    assert.equal(state.parsed, parsed + 100);
  });
});

/** Ways to write a media message. `other` is any text of the alphabet. */
type Shape = (payload: string, other: string) => string;
const NATIVE_SHAPES: Shape[] = [
  (payload) => JSON.stringify({ event: 'media', payload }),
  (payload) => `{"event": "media", "payload": "${payload}"}`,
  (payload) => JSON.stringify({ payload, event: 'media', encoding: 'pcm16', sampleRate: 16_000 }),
  (payload) => `{"encoding": "pcma", "event": "media", "payload": "${payload}", "sampleRate": 8000}`,
  (payload) => JSON.stringify({ event: 'media', payload }).replaceAll('/', '\\/'),
  (payload) => JSON.stringify({ event: 'media', stream: payload, payload }),
  (payload) => JSON.stringify({ event: 'media', payload, stream: payload }),
  (payload, other) => JSON.stringify({ event: 'media', stream: other, payload }),
  (payload, other) => `{"event":"media","payload":"${other}","payload":"${payload}"}`,
  (payload) => `{"event":"media","payload":"${payload}","payload":"${payload}"}`,
  (payload, other) => `{"event":"media","p\\u0061yload":"${other}","payload":"${payload}"}`,
  (payload, other) => `{"event":"media","payload":"${payload}","p\\u0061yload":"${other}"}`,
  (payload, other) => `{"event":"media","payload":"${payload}","${other}":"payload"}`,
  (payload, other) => `{"event":"${other}","event":"media","encoding":"pcmu","payload":"${payload}"}`,
];
const TWILIO_SHAPES: Shape[] = [
  (payload) => JSON.stringify({ event: 'media', streamSid: 'MZ1', media: { payload } }),
  (payload) => `{"event": "media", "media": {"payload": "${payload}"}, "streamSid": "MZ1"}`,
  (payload, other) => JSON.stringify({ event: 'media', payload: other, media: { payload } }),
  (payload, other) => JSON.stringify({ media: { payload, track: other }, event: 'media', payload }),
  (payload) => JSON.stringify({ event: 'media', media: { payload } }).replaceAll('/', '\\/'),
];
const WORDS = ['QUJD', 'REVG', 'payload', 'media', 'pcmu', 'pcma', 'event', 'AA==', '', 'encoding'];
const INSERTS = [
  '"',
  '\\',
  '}',
  '{',
  ' ',
  ',',
  ':',
  '=',
  'é',
  '\ufffd',
  '\\u0041',
  '\\/',
  '"payload":"QQ=="',
];

for (const [name, create, shapes] of [
  ['native', native, NATIVE_SHAPES],
  ['twilio', twilio, TWILIO_SHAPES],
] as const) {
  test(`a ${name} decoder reads every message as one does that has read none before`, () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const base64 = () => {
      if (random(8) === 0) return pick(WORDS);
      const bytes = Buffer.from(Array.from({ length: random(12) }, () => random(256)));
      const text = bytes.toString(random(10) === 0 ? 'base64url' : 'base64');
      return random(10) === 0 ? text.replaceAll('=', '') : text;
    };
    let understood = 0;
    for (let round = 0; round < 2_500; round++) {
      const dialect = create();
      const mostly = pick(shapes);
      // Few values, so that one is often where another was, or in both places.
      const values = [base64(), base64(), base64()];
      const value = () => (random(3) === 0 ? base64() : pick(values));
      for (let i = 0; i < 20; i++) {
        const shape = random(5) === 0 ? pick(shapes) : mostly;
        let text = shape(value(), value());
        for (let n = Math.max(0, random(6) - 3); n > 0; n--) {
          const at = random(text.length + 1);
          text = text.slice(0, at) + (random(2) === 0 ? '' : pick(INSERTS)) + text.slice(at + random(3));
        }
        const expected = decodeText(create(), text);
        assert.deepEqual(decodeText(dialect, text), expected, text);
        if (expected.type === 'media') understood += 1;
      }
    }
    assert.ok(understood > 20_000, `${understood}`);
  });
}

describe('JSON that is not for us', () => {
  const texts = [
    '{"label":"rtvi-ai","type":"bot-started-speaking"}',
    '{"label":"rtvi-ai","type":"user-transcription","data":{"event":"media"}}',
    '{}',
    '{"event":null}',
    '{"event":5}',
    '{"event":["media"]}',
    '{"event":{"event":"hangup"}}',
    '{"Event":"hangup"}',
    '{"__proto__":{"event":"hangup"}}',
    '{"event":"from-the-future"}',
    '{"event":"constructor"}',
    '[{"event":"hangup"}]',
    '[]',
    '"hangup"',
    '5',
    'true',
    'null',
    ' \n{"type":"server-message"} ',
  ];

  for (const [name, make] of [
    ['native', native],
    ['twilio', twilio],
  ] as const)
    test(`is passed over in the ${name} dialect`, () => {
      for (const text of texts) assert.equal(decodeText(make(), text).type, 'unknown', text);
    });

  test('is something else than no JSON', () => {
    const refused = { type: 'bad', code: 'not-json', detail: 'the message is not JSON' };
    for (const dialect of [native(), twilio()])
      for (const text of ['', 'hello', '{"event":', "{'event':'clear'}", '\u0000'])
        assert.deepEqual(decodeText(dialect, text), refused, text);
  });
});
