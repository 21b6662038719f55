import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatClaim, HolderWatch, parseClaim } from '../src/ari/claim.ts';
import type { FuzzTarget } from './target.ts';

const OWN = '0a1b2c3d';
/** Looks, one renewal apart, after which nobody is thought to be there who says nothing new. */
const LOOKS_MAX = 4;

const instance = fc.oneof(
  fc.constant(OWN),
  fc.constantFrom('e5f60718', 'other', '-', '_'),
  fc.stringMatching(/^[0-9a-f]{8}$/),
);
const claim = fc.record({
  instance,
  beat: fc.oneof(fc.nat(3), fc.integer({ min: 0, max: 999_999_999_999_999 })),
  everyMs: fc.integer({ min: 0, max: 999_999 }),
});
/**
 * What may stand in the variable: a claim; a claim with one character added, removed or changed; or
 * anything.
 */
const text = fc.oneof(
  claim.map(formatClaim),
  fc
    .tuple(claim.map(formatClaim), fc.nat(40), fc.nat(2), fc.string({ maxLength: 2 }))
    .map(([made, at, gone, put]) => made.slice(0, at) + put + made.slice(at + gone)),
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.constant(''),
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'claim: one that was written is read as it was, and any other text is none or says itself again',
    property: fc.property(claim, text, (made, any) => {
      assert.deepEqual(parseClaim(formatClaim(made)), { ...made });
      const read = parseClaim(any);
      if (read === undefined) return;
      assert.match(read.instance, /^[\w-]{1,64}$/);
      assert.ok(Number.isSafeInteger(read.beat) && Number.isSafeInteger(read.everyMs));
      assert.deepEqual(parseClaim(formatClaim(read)), read);
    }),
  },
  {
    name: 'claim: whoever renews it is there, and whoever does not is gone after a few looks',
    property: fc.property(
      fc.array(fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: fc.constant(null) }), {
        maxLength: 12,
      }),
      claim.filter((made) => made.instance !== OWN),
      fc.nat(30),
      (seen, holder, beats) => {
        const watch = new HolderWatch(OWN);
        let same = 0;
        let last: string | null = null;
        for (const one of seen) {
          if (one === null) watch.failed();
          same = one !== null && one === last ? same + 1 : 1;
          last = one;
          if (one === null) continue;
          const isGone = watch.isGone(one);
          // Never at the first look, nor right after a time in which nobody could look.
          if (same === 1) assert.equal(isGone, false);
          if (same >= LOOKS_MAX) assert.equal(isGone, true);
          assert.equal(watch.isOther(one), (parseClaim(one)?.instance ?? OWN) !== OWN);
        }
        watch.failed();
        for (let beat = 0; beat < beats; beat++)
          assert.equal(watch.isGone(formatClaim({ ...holder, beat })), false, 'it renews its claim');
        const still = formatClaim({ ...holder, beat: beats });
        const looks = Array.from({ length: LOOKS_MAX }, () => watch.isGone(still));
        assert.deepEqual(looks, [false, false, false, true]);
      },
    ),
  },
];
