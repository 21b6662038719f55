import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestSilenceMs, slopePerMinute } from './trend.ts';

test('a line has its slope, and noise around it changes little', () => {
  const line = (noise: number) =>
    Array.from({ length: 100 }, (_, at) => ({
      atMs: at * 6_000,
      value: 500 + at * 2 + (at % 2 === 0 ? noise : -noise),
    }));
  assert.equal(Math.round((slopePerMinute(line(0)) ?? 0) * 1000), 20_000);
  assert.ok(Math.abs((slopePerMinute(line(50)) ?? 0) - 20) < 1);
  assert.equal(slopePerMinute([]), undefined);
  assert.equal(slopePerMinute([{ atMs: 1, value: 1 }]), undefined);
});

function packet(timeMs: number, sample: number) {
  const payload = Buffer.alloc(172, sample);
  return { timeMs, source: '', sourcePort: 1, destination: '', destinationPort: 2, payload };
}

test('the longest silence is between two packets with sound, or up to the last packet', () => {
  assert.equal(longestSilenceMs([]), undefined);
  assert.equal(longestSilenceMs([packet(0, 0xff)]), undefined);
  const spoken = [0, 20, 40].map((atMs) => packet(atMs, 0x10));
  assert.equal(longestSilenceMs(spoken), 20);
  const paused = [packet(-500, 0xff), ...spoken, packet(60, 0xff), packet(100, 0x10), packet(170, 0x7f)];
  assert.equal(longestSilenceMs(paused), 70);
});
