import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortPool } from './ports.ts';

test('only even ports of the range are lent, each once', () => {
  const pool = new PortPool(20001, 20007);
  assert.equal(pool.size, 3);
  assert.deepEqual([pool.take(), pool.take(), pool.take(), pool.take()], [20002, 20004, 20006, undefined]);
  assert.equal(pool.inUse, 3);
});

test('a port just released is lent last', () => {
  const pool = new PortPool(10, 15);
  const first = pool.take() as number;
  pool.release(first);
  assert.deepEqual([pool.take(), pool.take(), pool.take()], [12, 14, 10]);
});

test('releasing twice, or what was never lent, changes nothing', () => {
  const pool = new PortPool(10, 13);
  pool.release(10);
  pool.release(99);
  const port = pool.take() as number;
  pool.release(port);
  pool.release(port);
  assert.equal(pool.inUse, 0);
  assert.deepEqual(new Set([pool.take(), pool.take()]), new Set([10, 12]));
  assert.equal(pool.take(), undefined);
});

test('after many random loans every port is still there once', () => {
  const pool = new PortPool(1000, 1019);
  const lent: number[] = [];
  let state = 1;
  for (let i = 0; i < 10_000; i++) {
    state = (state * 48271) % 2147483647;
    if (state % 2 === 0) {
      const port = pool.take();
      if (port !== undefined) lent.push(port);
    } else if (lent.length > 0) pool.release(lent.splice(state % lent.length, 1)[0] as number);
    assert.equal(pool.inUse, lent.length);
    assert.equal(new Set(lent).size, lent.length);
  }
  for (let port = pool.take(); port !== undefined; port = pool.take()) lent.push(port);
  assert.deepEqual(lent.sort(), [1000, 1002, 1004, 1006, 1008, 1010, 1012, 1014, 1016, 1018]);
});

test('a range without an even port, or outside the ports there are, is refused', () => {
  for (const [min, max] of [
    [11, 11],
    [20, 10],
    [0, 10],
    [65000, 65536],
    [1.5, 9],
  ] as const) {
    assert.throws(() => new PortPool(min, max), RangeError);
  }
});
