import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackOff } from './back-off.ts';

const LIMITS = { firstMs: 250, mostMs: 4_000 };
const pauses = (backOff: BackOff, count: number) => Array.from({ length: count }, () => backOff.next());

test('each pause is twice as long as the one before, up to the limit', () => {
  const backOff = new BackOff(LIMITS, () => 0.5);
  assert.deepEqual(pauses(backOff, 7), [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
});

test('a pause is varied by up to a quarter, so that no two calls keep step', () => {
  assert.deepEqual(pauses(new BackOff(LIMITS, () => 0), 3), [188, 375, 750]);
  assert.deepEqual(pauses(new BackOff(LIMITS, () => 0.999_999), 3), [312, 625, 1_250]);
});

test('a new series begins with the first pause', () => {
  const backOff = new BackOff(LIMITS, () => 0.5);
  pauses(backOff, 5);
  backOff.restart();
  assert.equal(backOff.next(), 250);
});
