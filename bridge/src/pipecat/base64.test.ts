import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { base64Bytes, decodeBase64, encodeBase64 } from './base64.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const target = Buffer.alloc(400);

/** What a text that lies within a buffer stands for; undefined: it is no base64. */
function decoded(text: string): Buffer | undefined {
  const source = Buffer.from(`AA${text}AA`, 'latin1');
  const bytes = decodeBase64(source, 2, source.length - 2, target);
  return bytes < 0 ? undefined : Buffer.from(target.subarray(0, bytes));
}

/** Random bytes of every length from 0 to 200, several of each. */
function* samples(): Generator<Buffer> {
  for (let i = 0; i < 2_010; i++) yield randomBytes(i % 201);
}

describe('base64', () => {
  test('is written as Buffer writes it, and nothing beside it', () => {
    for (const bytes of samples()) {
      const expected = bytes.toString('base64');
      const source = Buffer.concat([Buffer.of(1, 2), bytes, Buffer.of(3, 4)]);
      target.fill('*');
      assert.equal(encodeBase64(source, 2, 2 + bytes.length, target, 5), 5 + expected.length);
      assert.equal(target.toString('latin1', 0, 5 + expected.length + 5), `*****${expected}*****`);
    }
  });

  test('is read as Buffer reads it, with padding and without', () => {
    for (const bytes of samples()) {
      const text = bytes.toString('base64');
      assert.deepEqual(decoded(text), bytes);
      assert.deepEqual(decoded(text.replaceAll('=', '')), bytes);
      assert.equal(base64Bytes(text), bytes.length);
      assert.equal(base64Bytes(text.replaceAll('=', '')), bytes.length);
    }
  });

  test('is every text of the alphabet and no other, whatever its last bits are', () => {
    for (let i = 0; i < 20_000; i++) {
      const characters = Array.from(randomBytes(i % 9), (byte) => ALPHABET[byte % 64]);
      const text = characters.join('');
      const expected = text.length % 4 === 1 ? undefined : Buffer.from(text, 'base64');
      assert.deepEqual(decoded(text), expected, text);
    }
  });

  test('is refused with any byte of another alphabet anywhere', () => {
    const text = Buffer.from('0123456789').toString('base64').replaceAll('=', '');
    for (let byte = 0; byte < 256; byte++) {
      const character = String.fromCharCode(byte);
      if (ALPHABET.includes(character)) continue;
      for (const whole of [text, text.slice(0, 11), text.slice(0, 12)]) {
        for (let at = 0; at < whole.length; at++) {
          // At the end it is padding.
          if (character === '=' && at === whole.length - 1) continue;
          const bad = whole.slice(0, at) + character + whole.slice(at + 1);
          assert.equal(decoded(bad), undefined, bad);
        }
      }
    }
  });

  test('is refused in a length that no bytes have, or with too much padding', () => {
    for (const text of [
      'A',
      'AAAAA',
      'AAAAAAAAA',
      'A=',
      'A==',
      'A===',
      '====',
      'AA===',
      'AA=A',
      'AAAA====',
    ]) {
      assert.equal(decoded(text), undefined, text);
    }
    for (const text of ['A', 'AAAAA', 'A=', 'AAAAA==']) assert.equal(base64Bytes(text), -1, text);
  });

  test('of nothing is nothing', () => {
    assert.equal(encodeBase64(Buffer.of(1), 1, 1, target, 3), 3);
    assert.deepEqual(decoded(''), Buffer.alloc(0));
    assert.equal(base64Bytes(''), 0);
  });
});
