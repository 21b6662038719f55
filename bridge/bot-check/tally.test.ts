import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MediaNote, mediaFigures } from './tally.ts';

const note = (atMs: number, audioMs: number, begins = false): MediaNote => ({
  atMs,
  audioMs,
  messageBytes: audioMs * 11,
  begins,
});

test('no message has no figures', () => {
  const none = { p50: 0, max: 0 };
  assert.deepEqual(mediaFigures([]), {
    messages: 0,
    audioMs: 0,
    messageMs: none,
    messageBytes: none,
    gapMs: none,
    messagesPerSecond: 0,
    speed: undefined,
  });
});

test('pauses between utterances are no gaps, and do not slow the speed', () => {
  const figures = mediaFigures([
    note(0, 40, true),
    note(20, 40),
    note(40, 40),
    note(9000, 40, true),
    note(9010, 40),
  ]);
  assert.deepEqual(figures.gapMs, { p50: 20, max: 20 });
  assert.equal(figures.speed, 120 / 50);
  assert.equal(figures.audioMs, 200);
});

test('the busiest second is found wherever it begins', () => {
  const at = [0, 500, 999, 1000, 1100, 1400, 5000];
  assert.equal(mediaFigures(at.map((atMs) => note(atMs, 20))).messagesPerSecond, 5);
});

test('all in one message has no speed', () => {
  const { speed, messageMs } = mediaFigures([note(3, 30_000, true)]);
  assert.deepEqual({ speed, messageMs }, { speed: undefined, messageMs: { p50: 30_000, max: 30_000 } });
});
