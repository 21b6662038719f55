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
  return made.at(0);
}

function times(count: number, spend: () => unknown): void {
  for (let i = 0; i < count; i++) spend();
}

describe('a budget', () => {
  test('allows a burst, and over it as much as time gives back', () => {
    const all = budget();
    all.came(200, 0);
    assert.equal(all.isOver(0, 0), false);
    all.came(1, 0);
    assert.equal(all.isOver(0, 0), true);
    assert.equal(all.pause(), 30, 'the ten ms of a message, and a pause worth its wake-up');
    all.at(30);
    assert.equal(all.isOver(0, 0), false);
    all.came(2, 0);
    assert.equal(all.isOver(0, 0), false);
    all.came(1, 0);
    assert.equal(all.isOver(0, 0), true);
  });

  test('counts messages, control messages and bytes each by itself, and waits for the slowest', () => {
    const all = budget();
    times(21, () => all.control());
    assert.equal(all.pause(), 120);
    const bytes = budget();
    bytes.came(1, 5_000);
    assert.equal(bytes.pause(), 3_020);
  });

  test('allows what may have come long before it was charged, in messages and in bytes', () => {
    const all = budget();
    all.came(216, 2_512);
    assert.equal(all.isOver(16, 512), false);
    assert.equal(all.isOver(15, 512), true);
    assert.equal(all.isOver(16, 511), true);
  });

  test('does not save up more than the burst', () => {
    const all = budget();
    all.at(1e9);
    all.came(200, 0);
    assert.equal(all.isOver(0, 0), false);
    all.came(1, 0);
    assert.equal(all.isOver(0, 0), true);
  });

  test('grants requests while there are any, and never lets them hold the socket back', () => {
    const all = budget();
    assert.deepEqual([all.order(), all.order(), all.order()], [true, true, false]);
    assert.equal(all.isOver(0, 0), false);
    all.at(1_000);
    assert.deepEqual([all.order(), all.order()], [true, false]);
  });

  for (const nowMs of [0, 12_345.678, 1e9 + 0.1])
    for (const perSecond of [1, 3, 5, 7, 30])
      test(`grants all of the burst, however fractions add up (${perSecond} a second, at ${nowMs} ms)`, () => {
        const limits = { ...LIMITS, controlsPerSecond: perSecond, ordersPerSecond: perSecond };
        const all = new Budget(limits).at(nowMs);
        times(2 * perSecond, () => assert.equal(all.order(), true));
        assert.equal(all.order(), false);
        times(2 * perSecond, () => all.control());
        assert.equal(all.isOver(0, 0), false);
        all.control();
        assert.equal(all.isOver(0, 0), true);
      });

  test('is exceeded by a bot that goes on and on, within a known time', () => {
    const all = budget();
    let nowMs = 0;
    for (;;) {
      all.came(1_000, 0);
      all.at(nowMs);
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
      all.came(250, 0);
      const waitMs = all.pause();
      assert.notEqual(waitMs, undefined, `round ${round}`);
      nowMs += 10_000;
      all.at(nowMs);
    }
  });

  test('takes nothing from a clock that stands or goes back', () => {
    const all = budget();
    all.at(1_000);
    all.came(0, 2_500);
    all.at(1_000);
    all.at(900);
    assert.equal(all.isOver(0, 0), true);
  });
});
