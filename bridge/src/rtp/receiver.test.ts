import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { PCMU_RECEIVER } from '../../test/pcmu-receiver.ts';
import { writeRtpHeader } from './packet.ts';
import { RtpReceiver } from './receiver.ts';

const SSRC = 0x11223344;

interface Heard {
  byte: number;
  bytes: number;
  timestampMs: number;
}

/** A receiver and what it handed on; a payload's bytes are its packet's index, silence is 0xFF. */
function listen() {
  const heard: Heard[] = [];
  const receiver = new RtpReceiver({
    ...PCMU_RECEIVER,
    onFrame: (source, start, end, timestampMs) =>
      heard.push({ byte: source[start] as number, bytes: end - start, timestampMs }),
  });
  return { receiver, heard, bytes: () => heard.map((frame) => frame.byte) };
}

interface PacketFields {
  payloadType?: number;
  ssrc?: number;
  bytes?: number;
  sequenceNumber?: number;
  timestamp?: number;
}

/** Each packet overwrites the one before, as the next datagrams do. */
const memory = Buffer.alloc(2_048);

/** Packet `index` of a stream that begins just before both wraps. */
function packet(index: number, fields: PacketFields = {}): Buffer {
  const datagram = memory.subarray(0, 12 + (fields.bytes ?? 160)).fill(index);
  const sequenceNumber = fields.sequenceNumber ?? (65534 + index) & 0xffff;
  const timestamp = fields.timestamp ?? (4294967295 - 300 + index * 160) >>> 0;
  writeRtpHeader(datagram, false, fields.payloadType ?? 0, sequenceNumber, timestamp, fields.ssrc ?? SSRC);
  return datagram;
}

describe('a receiver', () => {
  test('hands packets on in order across the wraps of sequence number and timestamp', () => {
    const { receiver, heard } = listen();
    for (let i = 0; i < 10; i++) receiver.push(packet(i), i * 20);
    assert.deepEqual(
      heard,
      Array.from({ length: 10 }, (_, i) => ({ byte: i, bytes: 160, timestampMs: i * 20 })),
    );
    assert.equal(receiver.stats.packetsReceived, 10);
    assert.equal(receiver.stats.lost, 0);
    assert.equal(receiver.stats.jitterMs, 0);
  });

  test('restores order, at once when the missing packet comes', () => {
    const { receiver, bytes } = listen();
    for (const [i, at] of [
      [0, 0],
      [2, 40],
      [3, 60],
      [1, 61],
      [4, 80],
    ] as const)
      receiver.push(packet(i), at);
    assert.deepEqual(bytes(), [0, 1, 2, 3, 4]);
    assert.equal(receiver.stats.reordered, 1);
    assert.equal(receiver.stats.lost, 0);
  });

  test('gives a missing packet up after 60 ms of audio and puts silence in its place', () => {
    const { receiver, heard, bytes } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(2), 40);
    receiver.push(packet(3), 60);
    assert.deepEqual(bytes(), [0]);
    receiver.push(packet(4), 80);
    assert.deepEqual(bytes(), [0, 0xff, 2, 3, 4]);
    assert.deepEqual(
      heard.map((frame) => frame.timestampMs),
      [0, 20, 40, 60, 80],
    );
    assert.equal(receiver.stats.lost, 1);
    assert.equal(receiver.stats.filledFrames, 1);
  });

  test('counts a packet that comes too late as late, not as lost, and does not let it be heard', () => {
    const { receiver, bytes } = listen();
    for (const i of [0, 2, 3, 4, 1]) receiver.push(packet(i), i * 20);
    assert.deepEqual(bytes(), [0, 0xff, 2, 3, 4]);
    assert.deepEqual([receiver.stats.late, receiver.stats.lost, receiver.stats.packetsReceived], [1, 0, 5]);
  });

  test('drops duplicates, of packets heard and of packets held', () => {
    const { receiver, bytes } = listen();
    for (const i of [0, 0, 2, 2, 1, 1, 0]) receiver.push(packet(i), i * 20);
    assert.deepEqual(bytes(), [0, 1, 2]);
    assert.equal(receiver.stats.duplicates, 4);
    assert.equal(receiver.stats.packetsReceived, 3);
  });

  test('hands on what it holds when time passes, and at the end', () => {
    const { receiver, bytes } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(2), 40);
    receiver.tick(99);
    assert.deepEqual(bytes(), [0]);
    receiver.tick(100);
    assert.deepEqual(bytes(), [0, 0xff, 2]);
    receiver.push(packet(4), 120);
    receiver.flush();
    assert.deepEqual(bytes(), [0, 0xff, 2, 0xff, 4]);
  });

  test('survives the loss of more packets than it could hold', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(2), 40);
    receiver.push(packet(50), 1000);
    receiver.push(packet(51), 1020);
    assert.equal(receiver.stats.lost, 48);
    assert.equal(heard.length, 52);
    assert.equal(heard.at(-1)?.timestampMs, 51 * 20);
  });

  test('fills the pause of a sender that suppresses silence', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(1, { timestamp: (4294967295 - 300 + 11 * 160) >>> 0 }), 220);
    assert.equal(heard.length, 12);
    assert.equal(heard.at(-1)?.timestampMs, 220);
    assert.equal(receiver.stats.lost, 0);
    assert.equal(receiver.stats.filledFrames, 10);
  });

  test('fills a pause in real time when it is told the time, and nothing twice', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(0), 0);
    for (let now = 20; now <= 1000; now += 20) receiver.tick(now);
    assert.equal(heard.length, 40);
    receiver.push(packet(1, { timestamp: (4294967295 - 300 + 50 * 160) >>> 0 }), 1000);
    assert.deepEqual(
      heard.map((frame) => frame.timestampMs),
      Array.from({ length: 51 }, (_, i) => i * 20),
    );
    assert.equal(heard.at(-1)?.byte, 1);
  });

  test('begins anew, by the clock, when the timestamp leaps too far to be filled', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(1, { timestamp: 1_000_000 }), 500);
    receiver.push(packet(2, { timestamp: 1_000_160 }), 520);
    receiver.push(packet(3, { timestamp: 7 }), 540);
    assert.deepEqual(
      heard.filter(({ byte }) => byte !== 0xff).map((frame) => frame.timestampMs),
      [0, 500, 520, 540],
    );
    // The pause is silence, not a hole.
    assert.deepEqual(
      heard.map((frame) => frame.timestampMs),
      Array.from({ length: 28 }, (_, i) => i * 20),
    );
    assert.equal(receiver.stats.restarts, 2);
    assert.ok(receiver.stats.jitterMs < 1);
  });

  test('never goes back in time when timestamps do', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(1, { timestamp: packet(0).readUInt32BE(4) }), 20);
    assert.deepEqual(
      heard.map((frame) => frame.timestampMs),
      [0, 20],
    );
  });

  test('follows a new SSRC at once', () => {
    const { receiver, heard, bytes } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(2), 40);
    receiver.push(packet(3, { ssrc: 5, sequenceNumber: 17, timestamp: 99 }), 60);
    receiver.push(packet(4, { ssrc: 5, sequenceNumber: 18, timestamp: 259 }), 80);
    assert.deepEqual(bytes(), [0, 0xff, 2, 3, 4]);
    assert.deepEqual(
      heard.map((frame) => frame.timestampMs),
      [0, 20, 40, 60, 80],
    );
    assert.equal(receiver.stats.ssrcChanges, 1);
  });

  test('takes two packets in a row for a restart, and one astray for nothing', () => {
    const { receiver, bytes } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(77, { sequenceNumber: 20_000 }), 20);
    receiver.push(packet(1), 20);
    receiver.push(packet(2, { sequenceNumber: 30_000, timestamp: 1 }), 40);
    receiver.push(packet(3, { sequenceNumber: 30_001, timestamp: 161 }), 60);
    receiver.push(packet(4, { sequenceNumber: 30_002, timestamp: 321 }), 80);
    assert.deepEqual(bytes(), [0, 1, 0xff, 3, 4]);
    assert.deepEqual([receiver.stats.restarts, receiver.stats.strays], [1, 2]);
    assert.equal(receiver.stats.lost, 0);
  });

  test('lets telephone events take a place in the sequence but none in the audio', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(0), 0);
    for (const i of [1, 2, 3]) receiver.push(packet(i, { payloadType: 101, bytes: 4, timestamp: 0 }), i * 20);
    receiver.push(packet(4), 80);
    assert.deepEqual(
      heard.map((frame) => frame.byte),
      [0, 0xff, 0xff, 0xff, 4],
    );
    assert.deepEqual(
      [receiver.stats.dtmfPackets, receiver.stats.lost, receiver.stats.wrongPayloadType],
      [3, 0, 0],
    );
  });

  test('counts other payload types and is not begun by them', () => {
    const { receiver, heard } = listen();
    receiver.push(packet(9, { payloadType: 13, bytes: 1 }), 0);
    receiver.push(packet(9, { payloadType: 8, ssrc: 1 }), 0);
    receiver.push(packet(0), 0);
    receiver.push(packet(9, { payloadType: 8, ssrc: 1 }), 10);
    receiver.push(packet(1), 20);
    assert.equal(heard.length, 2);
    assert.deepEqual([receiver.stats.wrongPayloadType, receiver.stats.ssrcChanges], [3, 0]);
  });

  test('passes frames of 10, 30 and 60 ms as they are, with their time', () => {
    for (const bytes of [80, 240, 480]) {
      const { receiver, heard } = listen();
      for (let i = 0; i < 4; i++) receiver.push(packet(i, { bytes, timestamp: i * bytes }), (i * bytes) / 8);
      assert.deepEqual(
        heard,
        Array.from({ length: 4 }, (_, i) => ({ byte: i, bytes, timestampMs: (i * bytes) / 8 })),
      );
    }
  });

  test('measures jitter as RFC 3550 does, and the longest gap', () => {
    const { receiver } = listen();
    receiver.push(packet(0), 0);
    receiver.push(packet(1), 36);
    assert.equal(receiver.stats.jitterMs, 1);
    receiver.push(packet(2), 40);
    assert.equal(receiver.stats.jitterMs, 1 + (16 - 1) / 16);
    assert.equal(receiver.stats.longestGapMs, 36);
  });

  test('never throws for random bytes, and counts them as malformed or strange', () => {
    const { receiver } = listen();
    for (let i = 0; i < 20_000; i++) {
      const datagram = randomBytes(i % 200);
      if (datagram.length > 12 && i % 3 === 0)
        writeRtpHeader(datagram, false, 0, datagram.readUInt16BE(2), i, i % 5);
      receiver.push(datagram, i);
      if (i % 7 === 0) receiver.tick(i);
    }
    receiver.flush();
    assert.ok(receiver.stats.malformed > 1000);
  });

  test('keeps order and time under random loss, reordering and duplication', () => {
    let state = 7;
    const random = (below: number) => {
      state = (state * 48271) % 2147483647;
      return state % below;
    };
    for (let round = 0; round < 200; round++) {
      const { receiver, heard } = listen();
      const arrivals: { index: number; at: number }[] = [{ index: 0, at: 0 }];
      for (let index = 1; index < 200; index++) {
        if (random(10) === 0) continue;
        arrivals.push({ index, at: index * 20 + random(70) });
        if (random(20) === 0) arrivals.push({ index, at: index * 20 + random(70) });
      }
      arrivals.sort((a, b) => a.at - b.at);
      const distinct = new Set(arrivals.map((arrival) => arrival.index)).size;
      for (const { index, at } of arrivals) receiver.push(packet(index), at);
      receiver.flush();
      const last = Math.max(...arrivals.map((arrival) => arrival.index));
      assert.deepEqual(
        heard.map((frame) => frame.timestampMs),
        Array.from({ length: last + 1 }, (_, i) => i * 20),
      );
      for (const [i, frame] of heard.entries()) assert.ok(frame.byte === i || frame.byte === 0xff);
      assert.equal(receiver.stats.packetsReceived, distinct);
      assert.equal(receiver.stats.duplicates, arrivals.length - distinct);
      assert.equal(receiver.stats.lost, last + 1 - distinct);
    }
  });
});
