import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Budget } from './budget.ts';

const LIMITS = {
  messagesPerSecond: 100,
  controlsPerSecond: 10,
  ordersPerSecond: 1,
  bytesPerSecond: 1_000,
  burstS: 2,
  overMs: 1_000,
};

function budget(): Budget {
  const made = new Budget(LIMITS);
  made.refill(0);
  return made;
}

function times(count: number, spend: () => unknown): void {
  for (let i = 0; i < count; i++) spend();
}

describe('a budget', () => {
  test('allows a burst, and over it as much as time gives back', () => {
    const all = budget();
    times(200, () => all.message());
    assert.equal(all.isOver, false);
    all.message();
    assert.equal(all.isOver, true);
    assert.equal(all.pause(), 30, 'the ten ms of a message, and a pause worth its wake-up');
    all.refill(30);
    assert.equal(all.isOver, false);
    times(2, () => all.message());
    assert.equal(all.isOver, false);
    all.message();
    assert.equal(all.isOver, true);
  });

  test('counts messages, control messages and bytes each by itself, and waits for the slowest', () => {
    const all = budget();
    times(21, () => all.control());
    assert.equal(all.pause(), 120);
    const bytes = budget();
    bytes.bytes(5_000);
    bytes.message();
    assert.equal(bytes.pause(), 3_020);
  });

  test('does not save up more than the burst', () => {
    const all = budget();
    all.refill(1e9);
    times(200, () => all.message());
    assert.equal(all.isOver, false);
    all.message();
    assert.equal(all.isOver, true);
  });

  test('grants requests while there are any, and never lets them hold the socket back', () => {
    const all = budget();
    assert.deepEqual([all.order(), all.order(), all.order()], [true, true, false]);
    assert.equal(all.isOver, false);
    all.refill(1_000);
    assert.deepEqual([all.order(), all.order()], [true, false]);
  });

  test('is exceeded by a bot that goes on and on, within a known time', () => {
    const all = budget();
    let nowMs = 0;
    for (;;) {
      times(1_000, () => all.message());
      all.refill(nowMs);
      const waitMs = all.pause();
      if (waitMs === undefined) break;
      nowMs += waitMs;
    }
    assert.ok(nowMs > 1_000 && nowMs < 12_000, `${nowMs} ms`);
    assert.ok(all.stats.pausedMs >= 1_000 && all.stats.pauses > 0);
  });

  test('forgives what is long ago', () => {
    const all = budget();
    let nowMs = 0;
    for (let round = 0; round < 100; round++) {
      times(250, () => all.message());
      const waitMs = all.pause();
      assert.notEqual(waitMs, undefined, `round ${round}`);
      nowMs += 10_000;
      all.refill(nowMs);
    }
  });

  test('takes nothing from a clock that stands or goes back', () => {
    const all = budget();
    all.refill(1_000);
    all.bytes(2_500);
    all.refill(1_000);
    all.refill(900);
    assert.equal(all.isOver, true);
  });
});
