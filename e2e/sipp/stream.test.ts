import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeAlaw, encodeUlaw, MARKER_HZ, tone } from '../mock-pipecat/src/tones.ts';
import type { Datagram } from './pcap.ts';
import { examineStream, gaps, heardMs } from './stream.ts';

const TONE = encodeUlaw(tone(MARKER_HZ, 20, 8000));
const SILENCE = new Uint8Array(160).fill(0xff);

interface Shape {
  sequenceNumber: number;
  timestamp?: number;
  timeMs?: number;
  payload?: Uint8Array;
  payloadType?: number;
  marker?: boolean;
  ssrc?: number;
}

function rtp({
  sequenceNumber,
  timestamp,
  timeMs,
  payload = TONE,
  payloadType = 0,
  marker = false,
  ssrc = 1,
}: Shape): Datagram {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = payloadType | (marker ? 0x80 : 0);
  header.writeUInt16BE(sequenceNumber % 0x10000, 2);
  header.writeUInt32BE((timestamp ?? sequenceNumber * 160) % 2 ** 32, 4);
  header.writeUInt32BE(ssrc, 8);
  const addresses = { source: 'a', sourcePort: 1, destination: 'b', destinationPort: 2 };
  return {
    ...addresses,
    timeMs: timeMs ?? 1000 + sequenceNumber * 20,
    payload: Buffer.concat([header, payload]),
  };
}

test('a clean stream: nothing lost, on the grid, one tone from start to end', () => {
  const packets = Array.from({ length: 50 }, (_, n) => rtp({ sequenceNumber: n, marker: n === 0 }));
  const report = examineStream(packets, 990);
  assert.partialDeepStrictEqual(report, {
    packets: 50,
    lost: 0,
    duplicates: 0,
    reordered: 0,
    ssrcs: [1],
    payloadTypes: [0],
    markersAt: [0],
    timestampSteps: { 160: 49 },
    driftMs: 0,
    firstPacketMs: 10,
    firstAudioMs: 10,
    lastAudioMs: 1010,
    segments: [{ sound: MARKER_HZ, fromMs: 10, toMs: 1010, audioMs: 1000 }],
  });
  assert.equal(report.spacingDeviationMs.max, 0);
  assert.deepEqual(gaps(report), []);
});

test('what the sender left out, and where it stalled, is told with its time', () => {
  const packets = Array.from({ length: 50 }, (_, n) => {
    const missed = n < 30 ? 0 : 1;
    return rtp({ sequenceNumber: n, timestamp: (n + missed) * 160, timeMs: 1000 + (n + missed) * 20 });
  });
  const { leaps, stalls } = examineStream(packets, 990);
  assert.deepEqual(leaps, [{ atMs: 1620, ms: 40 }]);
  assert.deepEqual(stalls, [{ endAtMs: 1620, ms: 40 }]);
});

test('the phase is that of most packets, also where the grid begins anew', () => {
  const late = (n: number) => (n % 10 === 9 ? 7 : 0);
  for (const phaseMs of [0.5, 11, 19.5]) {
    const packets = Array.from({ length: 50 }, (_, n) =>
      rtp({ sequenceNumber: n, timeMs: 1000 + phaseMs + n * 20 + late(n) + (n % 3) - 1 }),
    );
    assert.equal(examineStream(packets, 990).phaseMs, phaseMs);
  }
});

test('loss, a duplicate and a packet out of order are told apart', () => {
  const order = [0, 1, 1, 2, 5, 4, 6];
  const report = examineStream(
    order.map((sequenceNumber, at) => rtp({ sequenceNumber, timeMs: at * 20 })),
    0,
  );
  assert.deepEqual([report.lost, report.duplicates, report.reordered], [1, 1, 1]);
});

test('sequence number and timestamp may wrap', () => {
  const start = 65_534;
  const packets = Array.from({ length: 5 }, (_, n) =>
    rtp({ sequenceNumber: start + n, timestamp: 2 ** 32 - 320 + n * 160, timeMs: n * 20 }),
  );
  const report = examineStream(packets, 0);
  assert.deepEqual([report.lost, report.reordered, report.timestampSteps], [0, 0, { 160: 4 }]);
});

test('silence between sounds is a gap; silence before and after is none', () => {
  const sounds = [SILENCE, TONE, TONE, SILENCE, SILENCE, TONE, SILENCE];
  const report = examineStream(
    sounds.map((payload, n) => rtp({ sequenceNumber: n, payload })),
    1000,
  );
  assert.deepEqual(gaps(report), [{ sound: 'silence', fromMs: 60, toMs: 100, audioMs: 40 }]);
  assert.equal(heardMs(report, MARKER_HZ), 60);
  assert.equal(report.audibleMs, 60);
});

test('a tone that ends inside a frame has that frame', () => {
  const half = encodeUlaw(Int16Array.from([...tone(MARKER_HZ, 8, 8000), ...new Int16Array(96)]));
  const report = examineStream(
    [TONE, TONE, half, SILENCE].map((payload, n) => rtp({ sequenceNumber: n, payload })),
    1000,
  );
  assert.equal(heardMs(report, MARKER_HZ), 60);
});

test('A-law is decoded as such', () => {
  const payload = encodeAlaw(tone(MARKER_HZ, 20, 8000));
  const report = examineStream(
    [0, 1].map((n) => rtp({ sequenceNumber: n, payload, payloadType: 8 })),
    1000,
  );
  assert.equal(heardMs(report, MARKER_HZ), 40);
});

test('digits are read from RFC 4733 events, each once', () => {
  const event = (code: number, timestamp: number, sequenceNumber: number) =>
    rtp({ sequenceNumber, timestamp, payloadType: 101, payload: Uint8Array.of(code, 0x8a, 0, 160) });
  const packets = [
    event(5, 100, 1),
    event(5, 100, 2),
    event(5, 100, 3),
    event(11, 900, 4),
    event(5, 1700, 5),
  ];
  assert.equal(examineStream(packets, 0).digits, '5#5');
});

test('what is no RTP is counted, not examined; nothing at all is an empty report', () => {
  const noise: Datagram = { ...rtp({ sequenceNumber: 1 }), payload: Uint8Array.of(1, 2, 3) };
  assert.partialDeepStrictEqual(examineStream([noise], 0), { packets: 0, notRtp: 1 });
  assert.partialDeepStrictEqual(examineStream([], 0), { packets: 0, audibleMs: 0, segments: [] });
});
