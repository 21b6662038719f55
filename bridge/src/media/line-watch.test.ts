import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineWatch } from './line-watch.ts';

test('a line that says nothing for too long is dead, once', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 0 }, 'pcmu');
  watch.expect(true, 5_000);
  assert.equal(watch.check(0, 5_100), undefined);
  assert.equal(watch.check(5_500, 6_400), 'line-quiet');
  assert.equal(watch.check(5_500, 6_401), undefined);
  assert.equal(watch.check(5_500, 6_501), 'media-timeout');
  assert.equal(watch.check(5_500, 6_521), undefined);
});

test('a line on which nobody makes a sound is silent, though it carries audio', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 3_000 }, 'pcmu');
  watch.expect(true, 0);
  watch.heard(Buffer.alloc(160, 0x10), 0, 160, 2_000);
  watch.heard(Buffer.alloc(160, 0xff), 0, 160, 4_000);
  assert.equal(watch.check(5_000, 5_000), undefined);
  assert.equal(watch.check(5_001, 5_001), 'silence');
});

test('nothing is missed on a call that is held, and all time limits begin anew after it', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 3_000 }, 'pcmu');
  watch.expect(true, 0);
  watch.expect(false, 100);
  assert.equal(watch.check(100, 100_000), undefined);
  watch.expect(true, 100_000);
  assert.equal(watch.check(100, 101_000), 'line-quiet');
  assert.equal(watch.check(100, 101_001), 'media-timeout');
});

test('a caller who is there after all has all the time again, and each pause is told of', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 0 }, 'pcmu');
  watch.expect(true, 0);
  assert.equal(watch.check(0, 101), 'line-quiet');
  assert.equal(watch.check(0, 1_001), 'media-timeout');
  watch.lives(1_100);
  assert.equal(watch.check(0, 2_100), undefined);
  assert.equal(watch.check(0, 2_101), 'media-timeout');
  watch.lives(2_200);
  assert.equal(watch.check(2_300, 2_320), undefined);
  assert.equal(watch.check(2_300, 2_401), 'line-quiet');
});

test('a line on which nobody makes a sound is silent, though its caller is there', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 1_500 }, 'pcmu');
  watch.expect(true, 0);
  assert.equal(watch.check(0, 101), 'line-quiet');
  assert.equal(watch.check(0, 1_001), 'media-timeout');
  watch.lives(1_050);
  assert.equal(watch.check(0, 1_500), undefined);
  assert.equal(watch.check(0, 1_501), 'silence');
});

test('who is held when life is found stays held', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 0 }, 'pcmu');
  watch.expect(false, 0);
  watch.lives(10);
  assert.equal(watch.check(0, 1e9), undefined);
});

test('limits of 0 are none', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 0, silenceLimitMs: 0 }, 'pcmu');
  watch.expect(true, 0);
  assert.equal(watch.check(0, 1e9), undefined);
});

test('while the process stands still nothing can arrive: the limits start again', () => {
  const watch = new LineWatch({ mediaTimeoutMs: 1_000, silenceLimitMs: 5_000 }, 'pcmu');
  watch.expect(true, 5_000);
  watch.missed(200, 5_500);
  assert.equal(watch.check(5_000, 5_500), 'line-quiet', 'it was only late');
  watch.missed(60_000, 65_100);
  assert.equal(watch.check(5_000, 65_100), undefined, 'it wakes');
  assert.equal(watch.check(5_000, 66_100), undefined);
  assert.equal(watch.check(5_000, 66_101), 'media-timeout');
});
