import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { decodeText } from '../../test/dialect-texts.ts';
import type { StartFields } from './dialect.ts';
import { Base64Slices } from './long-media.ts';
import { NativeDialect } from './native.ts';
import { TwilioDialect } from './twilio.ts';

const native = () => new NativeDialect('pcmu', 8000);
const twilio = () =>
  new TwilioDialect({ callId: 'c-1', channelId: '1.1', streamId: 's-1', sipProvider: 'a' } as StartFields);
const LONG = randomBytes(300_001).toString('base64');
const media = { type: 'media', encoding: 'pcmu', sampleRate: 8000, payload: LONG };

/** By length: the difference between long texts takes minutes to draw. */
function assertMedia(read: ReturnType<typeof decodeText>, expected: typeof media): void {
  assert.equal(read.type, 'media');
  const { payload, ...rest } = read as typeof media;
  assert.deepEqual(rest, { type: 'media', encoding: expected.encoding, sampleRate: expected.sampleRate });
  assert.ok(payload === expected.payload, `${payload.length} characters`);
}

describe('a long message', () => {
  test('of media is found whatever the order of its fields, and whatever else is in it', () => {
    const texts = [
      `{"event":"media","payload":"${LONG}"}`,
      `{"payload" : "${LONG}","event":"media"}`,
      `{"event":"media","x":{"payload":"no"},"payload":"${LONG}","y":[{"payload":1}]}`,
      `{"event":"media","note":"\\"payload\\":\\"","payload":"${LONG}","é":"é"}`,
      `\n{"event"\t:"media",\r\n"payload":\n"${LONG}"}\n`,
    ];
    for (const text of texts) assertMedia(decodeText(native(), text), media);
    assertMedia(decodeText(native(), `{"event":"media","encoding":"pcm16","payload":"${LONG}"}`), {
      ...media,
      encoding: 'pcm16',
    });
    assertMedia(decodeText(twilio(), `{"event":"media","media":{"payload":"${LONG}"}}`), media);
  });

  test('of media is read with escaped slashes and line breaks, and by the alphabet of URLs', () => {
    const lines = LONG.replaceAll(/.{76}/g, '$&\\r\\n').replaceAll('/', '\\/');
    assertMedia(decodeText(native(), `{"event":"media","payload":"${lines}"}`), media);
    const url = LONG.replaceAll('+', '-').replaceAll('/', '_');
    assertMedia(decodeText(native(), `{"event":"media","payload":"${url}"}`), media);
  });

  test('that is not media is refused without being parsed', () => {
    const oversize = {
      type: 'bad',
      code: 'oversize',
      detail: 'a message other than media has at most 65536 bytes',
    };
    const texts = [
      '['.repeat(4_000_000),
      `{"event":"clear","payload":"${LONG}"}`,
      `{"event":"mark","name":"${LONG}"}`,
      `{"event":"media","payload":"QUJD","x":"${LONG}"}`,
      `{"event":"media","payload":"${LONG}`,
      `{"event":"media","payload":"${LONG}"`,
      `{"event":"media","payload":"${LONG}"}}`,
      `{"payload":"${LONG}"}`,
      '"payload":"'.repeat(100_000),
      'é'.repeat(100_000),
    ];
    for (const text of texts) assert.deepEqual(decodeText(native(), text), oversize, `${text.slice(0, 40)}…`);
  });

  test('of media in an encoding that is not known is refused for that', () => {
    const read = decodeText(native(), `{"event":"media","encoding":"opus","payload":"${LONG}"}`);
    assert.equal(read.type === 'bad' && read.code, 'wrong-encoding');
  });

  test('whose payload is no base64 is refused', () => {
    for (const bad of [
      `${LONG}?`,
      `=${LONG}`,
      `AA==${LONG}`,
      `${LONG}A`,
      `${'A'.repeat(262_140)}AA==${LONG}`,
      `\\"${LONG}`,
    ]) {
      const read = decodeText(native(), `{"event":"media","payload":"${bad}"}`);
      assert.equal(read.type === 'bad' && read.code !== undefined, true, bad.slice(0, 10));
    }
  });
});

test('slices of every length give what the whole gives', () => {
  for (const bytes of [1, 2, 3, 49_150, 196_607, 196_608, 196_609, 393_216, 393_217, 800_000]) {
    const audio = randomBytes(bytes);
    const text = Buffer.from(audio.toString('base64'));
    const slices = new Base64Slices(text, 0, text.length);
    const read: Buffer[] = [];
    while (!slices.isDone) read.push(Buffer.from(slices.next() ?? assert.fail('bad')));
    assert.ok(Buffer.concat(read).equals(audio), `${bytes} bytes`);
  }
});
