import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channelsIn, rangeWarnings } from '../config/port-ranges.ts';
import { AsteriskPorts } from './asterisk-ports.ts';

const bridge = { min: 20_000, max: 23_999 };

test('a range has as many channels as even ports', () => {
  for (const [min, max, channels] of [
    [10_000, 17_999, 4_000],
    [10_000, 10_003, 2],
    [10_000, 10_002, 2],
    [10_001, 10_004, 2],
    [10_001, 10_001, 0],
    [10_002, 10_001, 0],
  ] as const)
    assert.equal(channelsIn({ min, max }), channels, `${min} to ${max}`);
});

test('a range that cannot hold MAX_CALLS is told, and one that overlaps the bridge’s own', () => {
  const told = (maxCalls: number, transport: 'rtp' | 'websocket', min: number, max: number) =>
    rangeWarnings({ maxCalls, transport, asterisk: { min, max }, bridge });
  assert.deepEqual(told(2_000, 'rtp', 10_000, 17_999), []);
  assert.match(told(2_001, 'rtp', 10_000, 17_999).join(), /ports for 2000 calls .* MAX_CALLS is 2001/);
  assert.deepEqual(told(2_001, 'websocket', 10_000, 17_999), []);
  assert.match(told(2, 'rtp', 10_000, 10_006 - 1).join(), /ports for 1 calls/);
  for (const [min, max] of [
    [19_000, 20_000],
    [23_999, 30_000],
    [21_000, 22_000],
    [10_000, 30_000],
  ] as const)
    assert.match(told(1, 'rtp', min, max).join(), /overlap/, `${min} to ${max}`);
  assert.deepEqual(told(1, 'rtp', 24_000, 30_000), []);
});

test('nearly all ports in use is told, the first time to the log too, and ends with the calls', () => {
  const ports = new AsteriskPorts({ min: 10_000, max: 10_019 });
  const names = (rtp: number) => [
    ...Array.from({ length: rtp }, (_, i) => (i % 2 === 0 ? `PJSIP/pb-${i}` : `UnicastRTP/127.0.0.1:${i}`)),
    'WebSocket/INCOMING/1',
    'Local/1@x-1;1',
    'Snoop/1',
  ];
  assert.equal(ports.count(names(8)), undefined);
  assert.deepEqual(ports.warnings(undefined, 0), []);
  assert.match(ports.count(names(9)) ?? '', /nearly used up \(9 channels of 10/);
  assert.equal(ports.count(names(10)), undefined);
  assert.match(ports.warnings(undefined, 0).join(), /10 channels of 10/);
  assert.equal(ports.count(names(2)), undefined);
  assert.deepEqual(ports.warnings(undefined, 0), []);
});

test('a media channel that Asterisk could not make is told for a minute', () => {
  const ports = new AsteriskPorts({ min: 10_000, max: 17_999 });
  assert.match(ports.warnings(1_000, 60_999).join(), /could not make a media channel/);
  assert.deepEqual(ports.warnings(1_000, 61_000), []);
});
