import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { redirectOf } from './redirect.ts';

const from = new URL('ws://user:word@bot.example:7860/ws?call_id=1');

describe('a redirect of the handshake', () => {
  test('is followed for every status that says where else the bot is', () => {
    for (const status of [301, 302, 307, 308]) {
      const redirect = redirectOf(from, status, '/ws/?call_id=1');
      assert.equal(redirect?.url.href, 'ws://user:word@bot.example:7860/ws/?call_id=1');
      assert.equal(redirect.isSameOrigin, true);
    }
    for (const status of [undefined, 200, 300, 303, 304, 305, 401, 503])
      assert.equal(redirectOf(from, status, '/ws/'), undefined, String(status));
  });

  test('may name the scheme of HTTP, and lead to TLS but not away from it', () => {
    assert.equal(
      redirectOf(from, 307, 'http://bot.example:7860/x')?.url.href,
      'ws://user:word@bot.example:7860/x',
    );
    const secure = redirectOf(from, 308, 'https://bot.example/x');
    assert.equal(secure?.url.href, 'wss://bot.example/x');
    assert.equal(redirectOf(new URL('wss://bot.example/'), 307, 'http://bot.example/'), undefined);
    assert.equal(redirectOf(new URL('wss://bot.example/'), 307, 'ws://bot.example/'), undefined);
    assert.equal(redirectOf(new URL('wss://bot.example/a'), 307, '//bot.example/b')?.isSameOrigin, true);
  });

  test('to another origin gets no credentials, nor does one bring its own', () => {
    for (const location of [
      'ws://other.example/',
      'ws://bot.example/',
      'wss://bot.example:7860/',
      '//bot.example:7861/x',
    ]) {
      const redirect = redirectOf(from, 307, location);
      assert.equal(redirect?.isSameOrigin, false, location);
      assert.equal(redirect?.url.username, '', location);
    }
    assert.equal(redirectOf(from, 307, 'ws://a:b@other.example/')?.url.href, 'ws://other.example/');
  });

  test('to what is no WebSocket is not followed', () => {
    for (const location of [
      undefined,
      '',
      'ftp://x/',
      'javascript:1',
      'ws+unix:/run/x',
      'http://[',
      `/${'a'.repeat(5_000)}`,
    ])
      assert.equal(redirectOf(from, 307, location), undefined, location);
    assert.equal(redirectOf(from, 307, '/x#y')?.url.hash, '');
  });
});
