import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallerClock } from './caller-clock.ts';

test('the least late frame tells where the caller’s time lies', () => {
  const clock = new CallerClock(500);
  assert.equal(clock.originMs, Number.NaN);
  clock.arrived(0, 130);
  assert.equal(clock.originMs, 130);
  clock.arrived(20, 127);
  clock.arrived(40, 190);
  assert.equal(clock.originMs, 107);
});

test('a clock that is slower than ours is followed within two windows', () => {
  const clock = new CallerClock(500);
  for (let ms = 0; ms < 60_000; ms += 20) clock.arrived(ms, 100 + ms * 1.0002 + (ms % 60));
  const truth = 100 + 60_000 * 0.0002;
  assert.ok(Math.abs(clock.originMs - truth) < 2.5, `${clock.originMs} instead of ${truth}`);
});

test('a clock that is faster than ours is followed at once', () => {
  const clock = new CallerClock(500);
  for (let ms = 0; ms < 60_000; ms += 20) clock.arrived(ms, 100 + ms * 0.9998 + (ms % 60));
  const truth = 100 - 60_000 * 0.0002;
  assert.ok(Math.abs(clock.originMs - truth) < 0.1, `${clock.originMs} instead of ${truth}`);
});

test('after a pause in which the caller’s time stood still it lies anew', () => {
  const clock = new CallerClock(500);
  clock.arrived(0, 100);
  clock.arrived(20, 9_120);
  assert.equal(clock.originMs, 9_100);
});
