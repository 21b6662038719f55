import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MediaPattern } from './media-pattern.ts';

/** The payload that a parser finds in a message. */
function parsed(text: string): string | undefined {
  try {
    const message = JSON.parse(text);
    return message.event === 'media' && typeof message.payload === 'string' ? message.payload : undefined;
  } catch {
    return undefined;
  }
}

/** A pattern, how often it has asked what the payload is, and what it finds. */
function open() {
  const state = { asked: 0 };
  const pattern = new MediaPattern((text) => {
    state.asked += 1;
    return parsed(text);
  });
  const find = (text: string) => {
    const bytes = Buffer.from(`{${text}}`);
    if (!pattern.find(bytes, 1, bytes.length - 1)) return undefined;
    return bytes.toString('utf8', pattern.start, pattern.end);
  };
  const learn = (text: string) => pattern.learn(text, parsed(text) as string);
  return { state, find, learn };
}

const message = (payload: string) => JSON.stringify({ event: 'media', payload });

describe('a pattern of media messages', () => {
  test('knows nothing before it has learnt', () => {
    const { find } = open();
    assert.equal(find(message('AAAA')), undefined);
    assert.equal(find(''), undefined);
  });

  test('finds the payload of a message like the one learnt, without asking what it is', () => {
    const { state, find, learn } = open();
    assert.equal(learn(message('AAAA')), true);
    const { asked } = state;
    for (const payload of ['', 'B', 'QUJD', 'x'.repeat(10_000)])
      assert.equal(find(message(payload)), payload);
    assert.equal(state.asked, asked);
  });

  test('does not take another message for it, nor one too short for both its ends', () => {
    const { find, learn } = open();
    learn('{"event":"media","payload":"AAAA","a":"\\""}');
    for (const other of [
      '',
      '{',
      '{"event":"media","payload":"","a":"',
      '{"event":"media","payload":","a":"\\""}',
    ])
      assert.equal(find(other), undefined, other);
    assert.equal(find('{"event":"media","payload":"","a":"\\""}'), '');
    assert.equal(find('{"event":"media","payload":"AAAA","a":"\\"" }'), undefined);
    assert.equal(find('{"Event":"media","payload":"AAAA","a":"\\""}'), undefined);
  });

  test('knows a message by its bytes: other letters than ASCII may be in it', () => {
    const { find, learn } = open();
    learn('{"event":"media","by":"é€😀","payload":"AAAA","to":"ü"}');
    assert.equal(find('{"event":"media","by":"é€😀","payload":"BBBB","to":"ü"}'), 'BBBB');
    assert.equal(find('{"event":"media","by":"é€😀","payload":"BBBB","to":"ö"}'), undefined);
  });

  // In each the payload's text is somewhere else first, escaped, or not there.
  const misleading = [
    '{"event":"media","stream":"AAAA","payload":"AAAA"}',
    '{"event":"media","payload":"AAAA","payload":"AAAA"}',
    '{"event":"media","stream":"QUJD","payload":"QUJD"}',
    '{"event":"media","stream":"REVG","payload":"REVG"}',
    '{"event":"media","p\\u0061yload":"QUJD","payload":"payload"}',
    '{"event":"media","p\\u0061yload":"REVG","payload":"payload"}',
    '{"event":"media","payload":"payload"}',
    '{"event":"media","payload":"AA\\/A"}',
    '{"event":"media","payload":"\\u0041AAA"}',
    '{"event":"media","payload":""}',
  ];
  for (const text of misleading) {
    test(`learns nothing from ${text}`, () => {
      const { find, learn } = open();
      assert.equal(learn(text), false);
      assert.equal(find(text), undefined);
    });
  }

  test('learns the place that counts where a message says its payload twice', () => {
    const { find, learn } = open();
    assert.equal(learn('{"event":"media","payload":"AAAA","payload":"BBBB"}'), true);
    assert.equal(find('{"event":"media","payload":"AAAA","payload":"CCCC"}'), 'CCCC');
    assert.equal(find('{"event":"media","payload":"CCCC","payload":"BBBB"}'), undefined);
  });

  const numbered = (n: number, payload: string) => `{"event":"media","n":${n},"payload":"${payload}"}`;

  test('is not given up for a message or three in between', () => {
    const { find, learn } = open();
    learn(numbered(0, 'AAAA'));
    for (let round = 0; round < 20; round++) {
      for (let n = 1; n <= 3; n++) assert.equal(learn(numbered(n, 'AAAA')), false);
      assert.equal(find(numbered(0, 'BBBB')), 'BBBB');
    }
  });

  test('follows a bot that changes for good, eight times at most', () => {
    const { state, find, learn } = open();
    learn(numbered(0, 'AAAA'));
    for (let n = 1; n < 8; n++) {
      for (let stranger = 0; stranger < 3; stranger++) assert.equal(learn(numbered(n, 'AAAA')), false);
      assert.equal(learn(numbered(n, 'AAAA')), true);
      assert.equal(find(numbered(n, 'BBBB')), 'BBBB');
    }
    const { asked } = state;
    for (let i = 0; i < 10; i++) assert.equal(learn(numbered(8, 'AAAA')), false);
    assert.equal(find(numbered(8, 'BBBB')), undefined);
    assert.equal(find(numbered(7, 'BBBB')), 'BBBB');
    assert.equal(state.asked, asked);
  });

  test('waits for a payload without escapes, and keeps no long text', () => {
    const { state, find, learn } = open();
    for (let i = 0; i < 20; i++) assert.equal(learn('{"event":"media","payload":"AA\\/A"}'), false);
    assert.equal(learn(`{"event":"media","by":"${'x'.repeat(1_024)}","payload":"AAAA"}`), false);
    assert.equal(state.asked, 0);
    assert.equal(learn(message('AAAA')), true);
    assert.equal(find(message('BBBB')), 'BBBB');
  });

  test('keeps nothing of the messages that it has learnt from but the pattern', () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    gc();
    const before = process.memoryUsage().heapUsed;
    const payload = 'A'.repeat(60_000);
    for (let i = 0; i < 64; i++) {
      const text = JSON.stringify({ event: 'media', stream: `the stream of call ${i}`, payload });
      assert.equal(open().learn(text), true);
    }
    gc();
    const kept = process.memoryUsage().heapUsed - before;
    assert.ok(kept < 1_000_000, `${kept} bytes`);
  });

  test('finds what a parser finds, whatever is done to a message', () => {
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    const inserts = ['"', '\\', '}', '{', ' ', ',', ':', '=', 'é', '\\u0041', '"payload":"QQ=="', '\\/'];
    let found = 0;
    for (let round = 0; round < 4_000; round++) {
      const { find, learn } = open();
      let learnt = '';
      for (let i = 0; i < 25; i++) {
        const payload = Buffer.alloc(random(40), i).toString('base64');
        let text = round % 2 ? message(payload) : `{"event": "media", "payload": "${payload}", "n": 1}`;
        for (let n = Math.max(0, random(6) - 3); n > 0; n--) {
          const at = random(text.length + 1);
          const insert = random(2) === 0 ? '' : (inserts[random(inserts.length)] as string);
          text = text.slice(0, at) + insert + text.slice(at + random(3));
        }
        const place = find(text);
        if (place === undefined || !/^[A-Za-z0-9+/]*={0,2}$/.test(place)) {
          if (parsed(text) !== undefined && learn(text)) learnt = text;
          continue;
        }
        found += 1;
        assert.deepEqual(JSON.parse(text), { ...JSON.parse(learnt), payload: place });
      }
    }
    assert.ok(found > 50_000, `${found}`);
  });
});
