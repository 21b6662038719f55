import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failures } from './failures.ts';

const waits = (failures: Failures, address: string, count: number, nowMs: number) =>
  Array.from({ length: count }, () => failures.failed(address, nowMs).retryAfterS).filter((s) => s > 0)
    .length;

test('an address may fail twenty times at once, then once in three seconds; others are not touched', () => {
  const failures = new Failures(() => 100);
  assert.equal(waits(failures, '192.0.2.1', 50, 0), 30);
  assert.equal(waits(failures, '192.0.2.2', 1, 0), 0);
  assert.equal(waits(failures, '192.0.2.1', 2, 3_000), 1);
  assert.equal(waits(failures, '192.0.2.1', 20, 90_000), 0);
});

test('fewer where fewer requests are answered at all', () => {
  assert.equal(waits(new Failures(() => 5), '192.0.2.1', 20, 0), 15);
});

test('an IPv6 network of 64 bits is one address, and IPv4 in IPv6 is IPv4', () => {
  const failures = new Failures(() => 1);
  assert.equal(waits(failures, '2001:db8::1', 1, 0), 0);
  for (const address of ['2001:db8::2', '2001:db8:0:0:ffff::', '2001:DB8:0::1%eth0', '2001:db8:0:0:1:2:3:4'])
    assert.equal(waits(failures, address, 1, 0), 1, address);
  assert.equal(waits(failures, '2001:db8:0:1::1', 1, 0), 0);
  assert.equal(waits(failures, '::ffff:192.0.2.1', 1, 0), 0);
  assert.equal(waits(failures, '192.0.2.1', 1, 0), 1);
});

test('who goes on is spoken of once a minute, with how many were refused', () => {
  const failures = new Failures(() => 1);
  const told = [0, 1, 2, 3, 61_000].map((ms) => failures.failed('::1', ms).toTell);
  assert.deepEqual(told.slice(0, 4), [undefined, 1, undefined, undefined]);
  assert.equal(failures.failed('::1', 61_001).toTell, 3);
});
