import assert from 'node:assert/strict';
import fc from 'fast-check';
import { keyProblems, parseProviderKeys } from '../src/config/provider-keys.ts';
import { BRIDGE_KEYS, parseProvider } from '../src/config/providers.ts';
import type { FuzzTarget } from './target.ts';

const keys = parseProviderKeys(BRIDGE_KEYS.map((key) => `${key} bridge`).join('\n'));
const value = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '1',
    '-1',
    '1e9',
    'on',
    'pcm16',
    '16000',
    'ws://127.0.0.1/',
    '+49,!+49900',
    '*',
    'none',
    '"a',
  ),
  fc.string(),
);
const line = fc.oneof(
  fc.tuple(fc.constantFrom(...BRIDGE_KEYS), value).map((pair) => pair.join('=')),
  fc
    .tuple(
      fc.constantFrom('OUTBOUND_CALLS_PER_SECOND', 'OUTBOUND_MAX_CALLS', 'ALLOWED_PREFIXES', 'COUNTRY_CODE'),
      value,
    )
    .map((pair) => pair.join('=')),
  fc
    .tuple(fc.constantFrom(' ', '\t', 'export ', '\ufeff', '#', 'x'), fc.constantFrom(...BRIDGE_KEYS), value)
    .map(([before, key, text]) => `${before}${key}=${text}`),
  fc.string(),
);
const file = fc.array(line, { maxLength: 12 }).map((lines) => lines.join('\n'));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'provider files: any text is refused by an error that names keys, or gives limits that are limits',
    property: fc.property(file, (text) => {
      let provider: ReturnType<typeof parseProvider>;
      try {
        provider = parseProvider('any', text);
      } catch (error) {
        assert.equal((error as Error).name, 'ZodError');
        return;
      }
      const { limits, bargeInHoldMs, numbers } = provider;
      assert.ok(Number.isInteger(limits.maxCalls) && limits.maxCalls >= 0);
      assert.ok(limits.callsPerSecond > 0 && limits.callsPerSecond <= 1000);
      assert.ok(bargeInHoldMs >= 0 && bargeInHoldMs <= 10_000);
      assert.ok(numbers.allowed.every(({ prefix }) => /^\d{0,15}$/.test(prefix)));
      assert.match(numbers.countryCode ?? '1', /^[1-9]\d{0,2}$/);
      assert.match(numbers.trunkPrefix + numbers.internationalPrefix, /^\d{0,10}$/);
      for (const url of Object.values(provider.pipecatUrl)) assert.match(url ?? 'ws://x', /^wss?:\/\/[^/?{]/);
    }),
  },
  {
    name: 'provider files: each line is known, a comment, or a problem',
    property: fc.property(file, (text) => {
      const problems = keyProblems(text, keys);
      const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line));
      const known = new Set(lines.map((line) => line.split('=')[0]).filter((key) => keys.has(key ?? '')));
      assert.equal(problems.length, lines.length - known.size);
    }),
  },
];
