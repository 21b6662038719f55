import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lateTicksPercent, OverloadWatch } from './overload.ts';

const LIMITS = { loopMs: 200, lateTicksPercent: 30 };
const CALM = { loopMs: 1, lateTicksPercent: 0 };
const LATE = { loopMs: 200, lateTicksPercent: 0 };
const BETWEEN = { loopMs: 150, lateTicksPercent: 0 };

test('two late looks are no overload, three are', () => {
  const watch = new OverloadWatch(LIMITS);
  assert.deepEqual(
    [LATE, LATE, CALM, LATE, LATE, LATE, LATE].map((lateness) => watch.look(lateness)),
    [false, false, false, false, false, true, true],
  );
});

test('either value can be the one that is too high', () => {
  const watch = new OverloadWatch(LIMITS);
  const late = { loopMs: 0, lateTicksPercent: 31 };
  assert.deepEqual(
    [late, LATE, late].map((lateness) => watch.look(lateness)),
    [false, false, true],
  );
});

test('an overload ends only after five looks below half of the limit', () => {
  const watch = new OverloadWatch(LIMITS);
  for (const _ of [1, 2, 3]) watch.look(LATE);
  // Under the limit, but not under half of it: not calm yet.
  assert.deepEqual(
    [BETWEEN, CALM, CALM, CALM, CALM, BETWEEN, CALM, CALM, CALM, CALM, CALM].map((now) => watch.look(now)),
    [true, true, true, true, true, true, true, true, true, true, false],
  );
});

test('values that stay between half of the limit and the limit change nothing, either way', () => {
  const watch = new OverloadWatch(LIMITS);
  for (let i = 0; i < 100; i++) assert.equal(watch.look(BETWEEN), false);
  for (const _ of [1, 2, 3]) watch.look(LATE);
  for (let i = 0; i < 100; i++) assert.equal(watch.look(BETWEEN), true);
});

test('a limit of 0 is none', () => {
  const watch = new OverloadWatch({ loopMs: 0, lateTicksPercent: 0 });
  for (let i = 0; i < 10; i++) assert.equal(watch.look({ loopMs: 9_999, lateTicksPercent: 100 }), false);
});

test('the worst worker counts, since the last reading', () => {
  const before = [
    { ticks: 1_000, lateTicks: 900 },
    { ticks: 1_000, lateTicks: 0 },
  ];
  const now = [
    { ticks: 1_200, lateTicks: 900 },
    { ticks: 1_200, lateTicks: 50 },
  ];
  assert.equal(lateTicksPercent(before, now), 25);
});

test('a worker that was replaced, that is new, or that has few ticks', () => {
  const before = [{ ticks: 1_000, lateTicks: 900 }];
  assert.equal(lateTicksPercent(before, [{ ticks: 100, lateTicks: 10 }]), 10);
  assert.equal(lateTicksPercent([], [{ ticks: 100, lateTicks: 10 }]), 10);
  assert.equal(lateTicksPercent([], [{ ticks: 24, lateTicks: 24 }]), 0);
  assert.equal(lateTicksPercent(before, []), 0);
});
