import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeSigns } from './life-signs.ts';

/** Asterisk's replies, in order: packets, or nothing where it does not answer. */
function signs(...packets: (number | undefined)[]): LifeSigns {
  return new LifeSigns(async () => {
    const rxcount = packets.shift();
    if (rxcount === undefined) throw new Error('ARI does not answer');
    return { rxcount, rtt: 0.01 };
  });
}

test('packets since audio ceased are life, and so are packets since the last question', async () => {
  const caller = signs(50, 56, 60, 60);
  caller.audioCeased();
  assert.deepEqual(
    [await caller.isAlive(), await caller.isAlive(), await caller.isAlive()],
    [true, true, false],
  );
});

test('nothing that moved is none', async () => {
  const caller = signs(7, 7);
  caller.audioCeased();
  assert.equal(await caller.isAlive(), false);
  assert.equal(await signs(7).isAlive(), false, 'never told that audio ceased');
});

test('an Asterisk that does not say is no silence, for a while', async () => {
  for (const [packets, alive] of [
    [
      [undefined, 7, 7],
      [true, false],
    ],
    [
      [7, undefined, 8, 9],
      [true, true, true],
    ],
    [
      [7, undefined, undefined, undefined],
      [true, true, false],
    ],
  ] as const) {
    const caller = signs(...packets);
    caller.audioCeased();
    for (const [at, expected] of alive.entries())
      assert.equal(await caller.isAlive(), expected, `${packets.join()}, question ${at + 1}`);
  }
});
