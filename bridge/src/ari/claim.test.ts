import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatClaim, HolderWatch, parseClaim } from './claim.ts';

const claim = (instance: string, beat: number) => formatClaim({ instance, beat, everyMs: 1_000 });

test('a claim is read as it was written', () => {
  assert.deepEqual(parseClaim(claim('a1-b_2', 7)), { instance: 'a1-b_2', beat: 7, everyMs: 1_000 });
});

test('a claim may tell where its process is reached', () => {
  const told = { instance: 'a', beat: 7, everyMs: 1_000, address: '40123:5e' };
  assert.deepEqual(parseClaim(formatClaim(told)), told);
});

test('what is no claim is none', () => {
  for (const text of [
    '',
    'a',
    'a/b/c',
    '/1/1',
    'a/1',
    'a/1/1/1',
    'a b/1/1',
    `${'a'.repeat(65)}/1/1`,
    'a/-1/1',
  ])
    assert.equal(parseClaim(text), undefined, text);
});

test('a holder that renews its claim is there, and one that does not is gone after four looks', () => {
  const watch = new HolderWatch('own');
  for (let beat = 0; beat < 100; beat++) assert.equal(watch.isGone(claim('other', beat)), false);
  const looks = Array.from({ length: 4 }, () => watch.isGone(claim('other', 100)));
  assert.deepEqual(looks, [false, false, false, true]);
});

test('while Asterisk does not answer nobody is found gone', () => {
  const watch = new HolderWatch('own');
  for (let look = 0; look < 20; look++) {
    assert.equal(watch.isGone(claim('other', 1)), false);
    assert.equal(watch.isGone(claim('other', 1)), false);
    watch.failed();
  }
});

test('a claim that was taken back, or is our own, is nobody’s; two looks, for it may be about to be renewed', () => {
  for (const text of ['', claim('own', 9), 'what somebody else put there']) {
    const watch = new HolderWatch('own');
    assert.equal(watch.isOther(text), false);
    assert.deepEqual([watch.isGone(text), watch.isGone(text)], [false, true]);
  }
  assert.equal(new HolderWatch('own').isOther(claim('other', 1)), true);
});
