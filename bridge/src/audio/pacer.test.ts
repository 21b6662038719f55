import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pacer } from './pacer.ts';

/** A pacer on a clock of its own, whose timers fire `lateMs` late. */
function open(options: { lateMs?: () => number } = {}) {
  const clock = { now: 1000, timer: undefined as { at: number; fire: () => void } | undefined };
  const errors: unknown[] = [];
  const pacer = new Pacer({
    now: () => clock.now,
    setTimer: (fire, delayMs) => {
      assert.equal(clock.timer, undefined, 'one timer at a time');
      assert.ok(Number.isInteger(delayMs) && delayMs >= 1);
      clock.timer = { at: clock.now + delayMs + (options.lateMs?.() ?? 0), fire };
      return clock.timer;
    },
    clearTimer: (timer) => {
      if (clock.timer === timer) clock.timer = undefined;
    },
    onError: (error) => errors.push(error),
  });
  const runUntil = (ms: number) => {
    while (clock.timer !== undefined && clock.timer.at <= ms) {
      const { at, fire } = clock.timer;
      clock.timer = undefined;
      clock.now = Math.max(clock.now, at);
      fire();
    }
    clock.now = Math.max(clock.now, ms);
  };
  /** A member that notes when it was called and what it skipped. */
  const join = () => {
    const calls: { at: number; skipped: number }[] = [];
    const handle = pacer.add((skipped) => calls.push({ at: clock.now, skipped }));
    return { calls, handle };
  };
  return { pacer, clock, errors, runUntil, join };
}

describe('a pacer', () => {
  test('serves what is due within long work when it is asked to, and nothing twice', () => {
    const { pacer, clock, runUntil, join } = open();
    const { calls } = join();
    runUntil(1100);
    const served = calls.length;
    const last = calls.at(-1)?.at ?? 0;
    clock.now = last + 19;
    pacer.keepTime();
    assert.equal(calls.length, served);
    // The timer is late, for the work goes on.
    clock.now = last + 20;
    pacer.keepTime();
    pacer.keepTime();
    assert.deepEqual(calls.slice(served), [{ at: last + 20, skipped: 0 }]);
    runUntil(last + 59);
    assert.deepEqual(
      calls.slice(served + 1).map(({ at }) => at),
      [last + 40],
    );
  });

  test('calls a member every 20 ms on an absolute grid', () => {
    const { runUntil, join } = open();
    const { calls } = join();
    runUntil(2000);
    assert.ok(calls.length >= 50);
    for (const [i, { at, skipped }] of calls.entries()) {
      assert.equal(at, (calls[0]?.at ?? 0) + i * 20);
      assert.equal(skipped, 0);
    }
  });

  test('does not drift when every timer is late', () => {
    const { pacer, runUntil, join } = open({ lateMs: () => 3.7 });
    const { calls } = join();
    runUntil(61_000);
    assert.ok(Math.abs(calls.length - 3000) <= 1);
    assert.equal(pacer.stats.skippedFrames, 0);
    assert.equal(pacer.stats.lateTicks, 0);
  });

  test('spreads its members evenly over four phases', () => {
    const { runUntil, join } = open();
    const members = Array.from({ length: 8 }, join);
    runUntil(1100);
    const phases = members.map(({ calls }) => (calls[0]?.at ?? 0) % 20);
    assert.deepEqual(
      phases.sort((a, b) => a - b),
      [0, 0, 5, 5, 10, 10, 15, 15],
    );
  });

  test('gives a new member the place of one that left', () => {
    const { runUntil, join } = open();
    const members = Array.from({ length: 4 }, join);
    runUntil(1100);
    const phase = (members[2]?.calls[0]?.at ?? 0) % 20;
    members[2]?.handle.remove();
    const next = join();
    runUntil(1200);
    assert.equal((next.calls[0]?.at ?? 0) % 20, phase);
  });

  test('skips the frames that it is too late for, says so, and never bursts', () => {
    const { pacer, clock, runUntil, join } = open();
    const members = Array.from({ length: 4 }, join);
    runUntil(1099);
    const before = members.map(({ calls }) => calls.length);
    clock.now += 70;
    runUntil(clock.now);
    runUntil(2000);
    for (const [i, { calls }] of members.entries()) {
      const late = calls[before[i] ?? 0];
      assert.ok(late !== undefined && late.skipped >= 2 && late.skipped <= 3, `${late?.skipped}`);
      // Called or skipped, every point of the grid is accounted for.
      assert.equal(
        calls.reduce((sum, { skipped }) => sum + 1 + skipped, 0),
        (calls.at(-1)?.at ?? 0) / 20 - (calls[0]?.at ?? 0) / 20 + 1,
      );
    }
    assert.ok(pacer.stats.skippedFrames >= 8);
    assert.ok(pacer.stats.worstLatenessMs > 60);
    assert.equal(pacer.stats.lateTicks, 4);
  });

  test('does not count a frame as skipped while the tick is less than a period late', () => {
    const { pacer, clock, runUntil, join } = open();
    const { calls } = join();
    runUntil(1101);
    const last = calls.at(-1)?.at ?? 0;
    clock.now = last + 20 + 19;
    runUntil(clock.now);
    assert.deepEqual(calls.at(-1), { at: last + 39, skipped: 0 });
    runUntil(last + 40);
    assert.deepEqual(calls.at(-1), { at: last + 40, skipped: 0 });
    assert.equal(pacer.stats.lateTicks, 1);
  });

  test('stops its timer with the last member and starts again on the same grid', () => {
    const { pacer, clock, runUntil, join } = open();
    const first = join();
    runUntil(1100);
    first.handle.remove();
    first.handle.remove();
    assert.equal(clock.timer, undefined);
    assert.equal(pacer.members, 0);
    clock.now = 5003;
    const second = join();
    runUntil(5100);
    assert.equal((second.calls[0]?.at ?? 0) % 20, (first.calls[0]?.at ?? 0) % 20);
    assert.equal(second.calls[0]?.skipped, 0);
  });

  test('calls the others when a member throws or leaves in its tick', () => {
    const { pacer, errors, runUntil } = open();
    const called = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let i = 0; i < 8; i++) {
      const handle = pacer.add(() => {
        called[i] = (called[i] ?? 0) + 1;
        if (i === 0) throw new Error('boom');
        if (i === 4) handle.remove();
      });
    }
    runUntil(1100);
    assert.equal(called[4], 1);
    assert.ok(called.every((calls, i) => i === 4 || calls >= 5));
    assert.equal(errors.length, called[0]);
    assert.equal(pacer.members, 7);
  });

  test('keeps one timer when a tick replaces the last member', () => {
    const { pacer, runUntil, clock } = open();
    let calls = 0;
    const handle = pacer.add(() => {
      handle.remove();
      pacer.add(() => calls++);
    });
    runUntil(1500);
    assert.ok(calls >= 23);
    assert.notEqual(clock.timer, undefined);
  });
});
