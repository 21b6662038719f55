import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallRate } from './call-limits.ts';

test('a second’s worth of calls may begin at once, then one after the other', () => {
  const rate = new CallRate(4);
  assert.deepEqual(
    [1_000, 1_000, 1_000, 1_000, 1_000].map((now) => rate.take(now)),
    [0, 0, 0, 0, 250],
  );
  assert.equal(rate.take(1_250), 0);
  assert.equal(rate.take(1_250), 250);
});

test('a rest saves up no more than a second’s worth', () => {
  const rate = new CallRate(2);
  rate.take(0);
  assert.deepEqual(
    [60_000, 60_000, 60_000].map((now) => rate.take(now)),
    [0, 0, 500],
  );
});

test('less than one call a second is a rate too', () => {
  const rate = new CallRate(0.1);
  assert.deepEqual([rate.take(0), rate.take(1_000), rate.take(9_999), rate.take(10_000)], [0, 9_000, 1, 0]);
});
