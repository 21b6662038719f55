import assert from 'node:assert/strict';
import fc from 'fast-check';
import { redirectOf } from '../src/pipecat/redirect.ts';
import type { FuzzTarget } from './target.ts';

const from = fc
  .tuple(fc.constantFrom('ws', 'wss'), fc.domain(), fc.constantFrom('', ':8443'))
  .map(([scheme, host, port]) => new URL(`${scheme}://user:secret@${host}${port}/ws?call_id=1`));
const location = fc.oneof(
  fc.string(),
  fc.webUrl({ validSchemes: ['http', 'https', 'ws', 'wss', 'ftp'], withQueryParameters: true }),
  fc.webPath(),
  fc.string().map((text) => `//u:p@${text}`),
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'redirect: whatever a server says, credentials stay within the origin and encryption stays on',
    property: fc.property(from, fc.integer({ min: 300, max: 310 }), location, (url, status, text) => {
      const redirect = redirectOf(url, status, text);
      if (redirect === undefined) return;
      const { protocol, origin, username, password, hash } = redirect.url;
      assert.ok(protocol === 'wss:' || (protocol === 'ws:' && url.protocol === 'ws:'));
      assert.equal(redirect.isSameOrigin, origin === url.origin);
      assert.equal(username, redirect.isSameOrigin ? 'user' : '');
      assert.equal(password, redirect.isSameOrigin ? 'secret' : '');
      assert.equal(hash, '');
    }),
  },
];
