import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMs } from './retry-after.ts';

const NOW = Date.parse('2026-11-27T12:00:00Z');

test('seconds and dates are waited for, up to an hour; what is neither is not', () => {
  const cases: [string | string[] | undefined, number][] = [
    ['0', 0],
    [' 7 ', 7_000],
    [['7', '9'], 7_000],
    ['999999999', 3_600_000],
    ['Fri, 27 Nov 2026 12:00:30 GMT', 30_000],
    ['Fri, 27 Nov 2026 11:00:00 GMT', 0],
    ['Sat, 27 Nov 2027 12:00:00 GMT', 3_600_000],
    ['Fri, 99 Nov 2026 12:00:00 GMT', 0],
    ...([undefined, '', '-5', '1.5', 'soon', '1e3', '9'.repeat(400)] as const).map(
      (each) => [each, 0] as [string | undefined, number],
    ),
  ];
  for (const [header, ms] of cases) assert.equal(retryAfterMs(header, NOW), ms, String(header));
});
