import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostClockMs, rtpStart } from './rtp-start.ts';

test('a stream that is opened anew goes on where the one before would be by now', () => {
  const first = rtpStart(1_000_000, 8000);
  const next = rtpStart(1_010_000, 8000);
  assert.equal(next.sequenceNumber - first.sequenceNumber, 500);
  assert.equal(next.timestamp - first.timestamp, 80_000);
});

test('sequence numbers and timestamps are within their ranges, after years too', () => {
  const { sequenceNumber, timestamp } = rtpStart(1e12, 16_000);
  assert.ok(Number.isInteger(sequenceNumber) && sequenceNumber < 2 ** 16);
  assert.ok(Number.isInteger(timestamp) && timestamp < 2 ** 32);
  const before = hostClockMs();
  assert.ok(before > 0 && hostClockMs() >= before);
});
