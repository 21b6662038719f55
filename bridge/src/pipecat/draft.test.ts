import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { Dialect, StartFields } from './dialect.ts';
import { base64Length, Draft } from './draft.ts';
import { NativeDialect } from './native.ts';
import { TwilioDialect } from './twilio.ts';

const START = { callId: 'c-1', channelId: 'ch-1', streamId: 's-1', sipProvider: 'acme' } as StartFields;

function textOf(draft: Draft): string {
  return draft.bytes.toString('latin1', 0, draft.length);
}

describe('a draft', () => {
  test('takes numbers in decimal, one behind the other', () => {
    const numbers = [0, 1, 9, 10, 11, 99, 100, 999, 1000, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40, 10 ** 15];
    const draft = new Draft();
    draft.begin(true, 400);
    for (const number of [...numbers, ...numbers]) draft.decimal(number);
    assert.equal(textOf(draft), [...numbers, ...numbers].join(''));
  });

  test('takes parts of a buffer as they are and in base64', () => {
    const source = randomBytes(50);
    const draft = new Draft();
    draft.begin(false, 200);
    draft.copy(source, 3, 40);
    draft.copy(source, 7, 7);
    draft.base64(source, 1, 48);
    const expected = Buffer.concat([
      source.subarray(3, 40),
      Buffer.from(source.subarray(1, 48).toString('base64')),
    ]);
    assert.deepEqual(draft.bytes.subarray(0, draft.length), expected);
    assert.equal(draft.isText, false);
  });

  test('begins anew, with room for a message of any length in whole words of the same memory', () => {
    const draft = new Draft();
    for (const length of [10, 4096, 4097, 70_001, 20]) {
      draft.begin(length % 2 === 0, length);
      assert.deepEqual([draft.length, draft.isText], [0, length % 2 === 0]);
      const source = randomBytes(length);
      draft.copy(source, 0, length);
      assert.equal(Buffer.compare(draft.bytes.subarray(0, draft.length), source), 0);
      assert.ok(draft.words.length * 4 >= length);
      assert.equal(draft.words.buffer, draft.bytes.buffer);
      assert.equal(draft.bytes.byteOffset, 0);
    }
  });

  test('knows the length of base64', () => {
    for (let bytes = 0; bytes < 50; bytes++)
      assert.equal(base64Length(bytes), Buffer.alloc(bytes).toString('base64').length);
  });
});

describe('a media message made in a draft', () => {
  const draft = new Draft();
  // Each call counts what it has sent; the draft is the same for all.
  const write = (dialect: Dialect, audio: Buffer, timestampMs: number) => {
    dialect.media(
      draft,
      Buffer.concat([Buffer.of(1), audio, Buffer.of(2)]),
      1,
      1 + audio.length,
      timestampMs,
    );
    return textOf(draft);
  };
  const audios = [0, 1, 2, 3, 159, 160, 640, 960, 4_000, 70_000, 160].map((bytes) => randomBytes(bytes));

  test('is what JSON.stringify makes of it in the native dialect', () => {
    for (const encoding of ['pcmu', 'pcma', 'pcm16'] as const) {
      const dialect = new NativeDialect(encoding, 24_000);
      for (const [i, audio] of audios.entries()) {
        const timestamp = i === 0 ? Number.MAX_SAFE_INTEGER : i * 20;
        const message = {
          event: 'media',
          encoding,
          sampleRate: 24_000,
          payload: audio.toString('base64'),
          timestamp,
        };
        assert.equal(write(dialect, audio, timestamp), JSON.stringify(message));
      }
    }
  });

  test('is what JSON.stringify makes of it in Twilio’s', () => {
    const dialect = new TwilioDialect(START);
    const [, start = ''] = dialect.start(START, false);
    const { streamSid } = JSON.parse(start);
    for (const [i, audio] of audios.entries()) {
      const timestamp = String(i === 0 ? Number.MAX_SAFE_INTEGER : i * 20);
      const media = { track: 'inbound', chunk: String(i + 1), timestamp, payload: audio.toString('base64') };
      const message = { event: 'media', sequenceNumber: String(i + 2), media, streamSid };
      assert.equal(write(dialect, audio, Number(timestamp)), JSON.stringify(message));
    }
  });
});
