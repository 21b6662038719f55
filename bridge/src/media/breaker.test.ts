import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Breaker } from './breaker.ts';

const LIMITS = { failuresMax: 3, firstPauseMs: 250, mostPauseMs: 4_000, tryMs: 3_000, perSecond: 50 };
const breaker = () => new Breaker<number>(LIMITS, () => 0.5);

/** A breaker whose bot is down since `nowMs`. */
function down(nowMs = 0): Breaker<number> {
  const down = breaker();
  for (let call = 1; call <= 3; call++) {
    down.ask(call, true);
    down.failed(call, 'ECONNREFUSED', nowMs);
  }
  return down;
}

test('while the bot is up each new call may try at once', () => {
  const up = breaker();
  for (let call = 0; call < 400; call++) assert.equal(up.ask(call, true), true);
});

test('failures with a success between them do not make the bot down', () => {
  const flaky = breaker();
  for (let i = 0; i < 10; i++) {
    assert.equal(flaky.failed(1, 'x', i), false);
    assert.equal(flaky.failed(2, 'x', i), false);
    assert.equal(flaky.succeeded(i), false);
  }
  assert.equal(flaky.isDown, false);
});

test('400 calls that lose their bot at once make a few tries in a second, not hundreds', () => {
  const shared = breaker();
  const trying: number[] = [];
  let tries = 0;
  for (let call = 0; call < 400; call++) {
    if (shared.ask(call, false)) trying.push(call);
    trying.push(...shared.due(0));
  }
  for (let nowMs = 0; nowMs < 20_000; nowMs += 10) {
    trying.push(...shared.due(nowMs));
    tries += trying.length;
    for (const call of trying.splice(0)) {
      shared.failed(call, 'ECONNREFUSED', nowMs);
      shared.ask(call, false);
    }
  }
  // 11 before the first failure was known, then at intervals of 0.25 to 4 s.
  assert.ok(tries <= 20, `${tries} tries in 20 s`);
  assert.equal(shared.waiting, 400);
});

test('while the bot is down one call tries, at growing intervals', () => {
  const shared = down();
  for (let call = 10; call < 20; call++) assert.equal(shared.ask(call, true), false);
  const atMs: number[] = [];
  for (let nowMs = 0; nowMs < 12_000; nowMs += 10)
    for (const call of shared.due(nowMs)) {
      atMs.push(nowMs);
      shared.failed(call, 'ECONNREFUSED', nowMs);
    }
  assert.deepEqual(atMs, [250, 750, 1_750, 3_750, 7_750, 11_750]);
});

test('when the bot is back the others are let in at the limited rate, in their order', () => {
  const shared = down();
  for (let call = 10; call < 70; call++) shared.ask(call, true);
  assert.deepEqual(shared.due(250), [10]);
  assert.equal(shared.succeeded(300), true);
  const admitted: number[] = [];
  for (let nowMs = 300; nowMs < 1_300; nowMs += 5) admitted.push(...shared.due(nowMs));
  assert.ok(admitted.length >= 50 && admitted.length <= 59, `${admitted.length} in a second`);
  assert.deepEqual(
    admitted,
    [...admitted].sort((a, b) => a - b),
  );
  // A new call waits behind those that wait.
  assert.equal(shared.ask(99, true), false);
});

test('a probe without a result counts as failed, and one whose call ends gives way at once', () => {
  const shared = down();
  for (let call = 10; call < 20; call++) shared.ask(call, true);
  assert.deepEqual(shared.due(250), [10]);
  assert.deepEqual(shared.due(3_249), []);
  assert.equal(shared.dueMs, 3_250);
  assert.deepEqual(shared.due(3_250), []);
  assert.deepEqual(shared.due(3_750), [11]);
  shared.left(11, 3_760);
  assert.deepEqual(shared.due(3_760), [12]);
  // The first probe's late success counts.
  shared.succeeded(3_800);
  assert.equal(shared.isDown, false);
});

test('a call that ended while it waited does not try', () => {
  const shared = down();
  shared.ask(10, true);
  shared.ask(11, true);
  shared.left(10, 100);
  assert.deepEqual(shared.due(250), [11]);
});

test('it says why and since when the bot is down, and is idle when nothing is left', () => {
  const shared = down(1_000);
  assert.deepEqual(shared.problem(6_000), { detail: 'ECONNREFUSED', seconds: 5 });
  assert.equal(shared.isIdle(6_000, 60_000), false);
  assert.equal(shared.isIdle(61_001, 60_000), true);
  assert.equal(shared.dueMs, Number.POSITIVE_INFINITY);
  assert.equal(breaker().isIdle(0, 60_000), true);
});
