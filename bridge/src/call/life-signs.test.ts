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

test('nothing that moved is none, and so is an Asterisk that does not say', async () => {
  for (const packets of [
    [7, 7],
    [undefined, 7],
    [7, undefined],
    [undefined, undefined],
  ]) {
    const caller = signs(...packets);
    caller.audioCeased();
    assert.equal(await caller.isAlive(), false);
  }
  assert.equal(await signs(7).isAlive(), false, 'never told that audio ceased');
});
