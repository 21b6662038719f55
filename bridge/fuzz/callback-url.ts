import assert from 'node:assert/strict';
import fc from 'fast-check';
import { callbackTarget, isUnfit } from '../src/config/callback-url.ts';
import type { FuzzTarget } from './target.ts';

const hex = (high: number, low: number) => ((high << 8) | low).toString(16);
/**
 * An IPv4 address within IPv6 (RFC 4291 section 2.5.5, RFC 6052, RFC 2765, RFC 3056), as URL
 * parsers and resolvers write it.
 */
const FORMS: readonly ((address: string, groups: string) => string)[] = [
  (_, groups) => `::ffff:${groups}`,
  (address) => `::ffff:${address}`,
  (_, groups) => `64:ff9b::${groups}`,
  (address) => `64:ff9b::${address}`,
  (_, groups) => `::ffff:0:${groups}`,
  (_, groups) => `2002:${groups}::1`,
  (_, groups) => `0:0:0:0:0:ffff:${groups}`,
];
const interesting = fc.constantFrom(0, 100, 127, 168, 169, 192, 223, 224, 254);
const byte = fc.oneof(interesting, fc.integer({ min: 0, max: 255 }));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'callback URL: an IPv4 address within an IPv6 one is judged as itself, in a URL too',
    property: fc.property(fc.tuple(byte, byte, byte, byte), fc.constantFrom(...FORMS), (bytes, form) => {
      const address = bytes.join('.');
      const [a, b, c, d] = bytes;
      const within = form(address, `${hex(a, b)}:${hex(c, d)}`);
      assert.equal(isUnfit(within), isUnfit(address), within);
      const isRefused = 'problem' in callbackTarget(`http://[${within}]/`, []);
      assert.equal(isRefused, isUnfit(address), within);
    }),
  },
  {
    name: 'callback URL: any text is taken or refused, and what is taken holds no credentials',
    property: fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.ipV6().map((ip) => `http://u:p@[${ip}]/`),
      ),
      (text) => {
        const target = callbackTarget(text, []);
        if ('problem' in target) return;
        const { username, password, protocol, hostname } = new URL(target.url);
        assert.equal(`${username}${password}`, '');
        assert.match(protocol, /^https?:$/);
        assert.equal(isUnfit(hostname.replace(/^\[|\]$/g, '')), false);
      },
    ),
  },
];
