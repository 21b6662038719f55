import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFarEndCounts } from '../ari/model.ts';
import { hasMoved, LifeSigns } from './life-signs.ts';

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

/**
 * Which counters of Asterisk 22 (res_rtp_asterisk) each sign changes, and whether that shows that
 * the far end is alive.
 */
const QUIET = { rxcount: 50, rxoctetcount: 8_000, txcount: 10, txoctetcount: 1_600, txploss: 0, rxploss: 0 };
for (const [sign, moved, isLife] of [
  ['audio', { rxcount: 51, rxoctetcount: 8_160 }, true],
  ['comfort noise', { rxcount: 51, rxoctetcount: 8_161 }, true],
  ['an empty packet', { rxcount: 51 }, true],
  ['a report about our audio, by SR or RR', { remote_maxjitter: 0.002, rtt: 0.013 }, true],
  ['a report about our audio that says the same as the last', { rtt: 0.0131 }, true],
  // RFC 3550 section 6.3.5 counts them. Asterisk keeps nothing of them, and has no event for ARI.
  ['SR or RR without a report, SDES or BYE alone', {}, false],
  ['what Asterisk sends, and misses', { txcount: 60, txoctetcount: 9_600, rxploss: 3 }, false],
  ['a peer whose SSRC was told by SDP', { remote_ssrc: 7 }, false],
] as const)
  test(`${sign}: ${isLife ? 'a' : 'no'} sign of life`, () => {
    const before = parseFarEndCounts({ ...QUIET, rtt: 0.012 });
    assert.equal(hasMoved(before, parseFarEndCounts({ ...QUIET, rtt: 0.012, ...moved })), isLife);
  });
