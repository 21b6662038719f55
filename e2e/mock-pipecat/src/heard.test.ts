import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heard } from './heard.ts';
import { CALLER_HZ, MARKER_HZ, tone } from './tones.ts';

test('stretches of silence, tones and other sound are told apart and timed', () => {
  const heard = new Heard();
  const frames = [
    ...Array.from({ length: 5 }, () => new Int16Array(160)),
    ...Array.from({ length: 10 }, () => tone(CALLER_HZ, 20, 8000)),
    ...Array.from({ length: 5 }, () => tone(MARKER_HZ, 20, 8000)),
    tone(600, 20, 8000),
  ];
  frames.forEach((frame, i) => {
    heard.push(frame, 8000, 160, i * 20, 1_000_000 + i * 20 + (i === 3 ? 15 : 0));
  });
  const view = heard.view();
  assert.deepEqual(view.segments, [
    { what: 'silence', fromMs: 0, toMs: 100 },
    { what: 'tone', hz: CALLER_HZ, fromMs: 100, toMs: 300 },
    { what: 'tone', hz: MARKER_HZ, fromMs: 300, toMs: 400 },
    { what: 'sound', fromMs: 400, toMs: 420 },
  ]);
  assert.deepEqual(view.heardMs, { silence: 100, [CALLER_HZ]: 200, [MARKER_HZ]: 100, sound: 20 });
  assert.deepEqual(view.gapMs, { p50: 20, p99: 35, max: 35 });
  assert.equal(view.firstSoundAtMs, 1_000_100);
  assert.equal(view.timestampGaps, 0);
  assert.deepEqual([view.messages, view.bytes, view.audioMs], [21, 21 * 160, 420]);
});

test('a jump of the timestamp is counted', () => {
  const heard = new Heard();
  for (const timestamp of [0, 20, 60, 80]) heard.push(new Int16Array(160), 8000, 160, timestamp, timestamp);
  assert.equal(heard.view().timestampGaps, 1);
});
