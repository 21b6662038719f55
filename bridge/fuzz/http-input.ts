import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CallIds, isUsableId } from '../src/call/call-ids.ts';
import { parsePairs } from '../src/call/info.ts';
import { callbackTarget, isUnfit, parseHostRules } from '../src/config/callback-url.ts';
import { readCursor, writeCursor } from '../src/records/cursor.ts';
import { retryAfterMs } from '../src/reports/retry-after.ts';
import { printable } from '../src/text/outside-text.ts';
import type { FuzzTarget } from './target.ts';

/** Any text, half surrogate pairs included. */
const text = fc.string({ unit: 'binary', maxLength: 300 });
const host = fc.oneof(
  fc.constantFrom(
    'evilexample.com',
    'example.com',
    'a.example.com',
    'backend',
    'backend.evil',
    '169.254.169.254',
  ),
  fc.domain(),
  fc.ipV4(),
  fc.ipV4Extended(),
  fc.ipV6().map((address) => `[${address}]`),
);
const url = fc
  .tuple(
    fc.constantFrom('http', 'https'),
    fc.option(fc.string({ maxLength: 12 })),
    host,
    fc.nat(65_535),
    text,
  )
  .map(([scheme, user, name, port, path]) => {
    const credentials = user === null ? '' : `${encodeURIComponent(user)}@`;
    return `${scheme}://${credentials}${name}:${port}/${path}`;
  });

export const targets: readonly FuzzTarget[] = [
  {
    name: 'callback url: what is asked is a web address of an allowed host, without credentials',
    property: fc.property(fc.oneof(text, url, fc.webUrl()), fc.boolean(), (given, isNamed) => {
      const hosts = isNamed ? ['backend', '*.example.com'] : [];
      const target = callbackTarget(given, hosts);
      if ('problem' in target) return;
      const { protocol, username, password, hostname } = new URL(target.url);
      assert.ok(['http:', 'https:'].includes(protocol) && username === '' && password === '');
      if (isNamed) assert.ok(hostname === 'backend' || hostname.endsWith('.example.com'), hostname);
      else assert.equal(isUnfit(hostname.replace(/^\[|\]$/g, '')), false, hostname);
      assert.doesNotMatch(target.authorization ?? '', /[^\w+/= ]/);
    }),
  },
  {
    name: 'callback hosts: any list is refused or each of its rules fits a host',
    property: fc.property(fc.oneof(text, fc.array(host).map(String)), (list) => {
      for (const rule of parseHostRules(list) ?? []) assert.match(rule, /^[^\s/@,]+$/);
    }),
  },
  {
    name: 'retry-after: any header is a wait of up to an hour',
    property: fc.property(
      fc.oneof(
        text,
        fc.nat().map(String),
        fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
      ),
      (header) => {
        const ms = retryAfterMs(header, 1_790_000_000_000);
        assert.ok(ms >= 0 && ms <= 3_600_000, String(ms));
      },
    ),
  },
  {
    name: 'call ids: a usable one goes through a URL, a log line and JSON, and is short',
    property: fc.property(fc.oneof(text, fc.string({ minLength: 100, maxLength: 300 })), (id) => {
      if (!isUsableId(id)) return;
      assert.ok(id.length <= 128 && id.trim() !== '' && !/[\p{Cc}\u2028\u2029]/u.test(id));
      assert.equal(
        decodeURIComponent(new URL(`http://h/calls/${encodeURIComponent(id)}`).pathname),
        `/calls/${id}`,
      );
    }),
  },
  {
    name: 'call ids: no two live calls have one, whoever asks in which order',
    property: fc.property(
      fc.array(fc.tuple(fc.nat(4), fc.constantFrom('a', 'b', 'c', '1763800000.1'), fc.boolean()), {
        maxLength: 60,
      }),
      (events) => {
        const live = new Set<string>();
        const held = new Map<string, string>();
        const ids = new CallIds((channel) => live.has(channel));
        for (const [n, id, ends] of events) {
          const channel = `1763800000.${n}`;
          if (ends) {
            live.delete(channel);
            held.delete(channel);
          } else {
            live.add(channel);
            if (ids.claim(channel, id)) held.set(channel, id);
            else if (held.get(channel) === id) assert.fail('taken away');
          }
          const all = [...held.values()];
          assert.equal(new Set(all).size, all.length);
        }
      },
    ),
  },
  {
    name: 'cursor: what is written is read, and nothing else is',
    property: fc.property(
      fc.oneof(text, fc.base64String()),
      fc.date({ noInvalidDate: true }),
      fc.nat(),
      (other, date, row) => {
        const offered = new Date(Math.abs(date.getTime()) % 4e12).toISOString();
        assert.deepEqual(readCursor(writeCursor({ offered, row })), { offered, row });
        const read = readCursor(other);
        if (read !== undefined) assert.equal(writeCursor(read), other);
      },
    ),
  },
  {
    name: 'custom variables: any text is at most 64 well-formed pairs, and encoded ones come back',
    property: fc.property(
      text,
      fc.array(fc.tuple(text, text), { maxLength: 80, size: 'large' }),
      (any, pairs) => {
        const many = pairs.map((_, index) => `n${index}=+${index}`).join('&');
        for (const [name, value] of Object.entries(parsePairs(many)))
          assert.equal(value, `+${name.slice(1)}`);
        assert.equal(Object.keys(parsePairs(`${many}&${any}&${many}`.slice(0, 4_000))).length <= 64, true);
        const parsed = Object.entries(parsePairs(any));
        assert.ok(
          parsed.length <= 64 && parsed.every(([name, value]) => name !== '' && value.isWellFormed()),
        );
        const good = pairs.filter(
          ([name, value]) => name !== '' && name.isWellFormed() && value.isWellFormed(),
        );
        const encoded = good.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
        assert.deepEqual(parsePairs(encoded), Object.fromEntries(good.slice(0, 64)));
      },
    ),
  },
  {
    name: 'outside text: any is printable, short and the same when it is read again',
    property: fc.property(text, fc.nat(300), (any, maxChars) => {
      const shown = printable(any, maxChars);
      assert.ok(shown.length <= maxChars && shown.isWellFormed() && !/\p{Cc}/u.test(shown));
      assert.equal(printable(shown, maxChars), shown);
    }),
  },
];
