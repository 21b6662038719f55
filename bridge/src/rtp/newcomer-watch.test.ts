import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PCMU_RECEIVER } from '../../test/pcmu-receiver.ts';
import { writeRtpHeader } from './packet.ts';
import { RtpReceiver } from './receiver.ts';

const OLD = 1;
const NEW = 2;

/** A receiver that has heard `OLD` until now, of which the last packet had the number 65,600. */
function listen() {
  const heard: number[] = [];
  const receiver = new RtpReceiver({
    ...PCMU_RECEIVER,
    onFrame: (source, start) => heard.push(source[start] as number),
  });
  const push = (who: number, sequenceNumber: number, arrivalMs: number, timestamp = sequenceNumber * 160) => {
    const datagram = Buffer.alloc(172, who);
    writeRtpHeader(datagram, false, 0, sequenceNumber & 0xffff, timestamp >>> 0, 7);
    receiver.push(datagram, arrivalMs);
    receiver.tick(arrivalMs);
  };
  for (let i = 0; i < 150; i++) push(OLD, 65_451 + i, i * 20);
  heard.length = 0;
  return { receiver, heard, push, nowMs: 3000 };
}

const LAST = 65_600;

describe('a sender that takes the place of another under the same SSRC', () => {
  for (const behind of [1, 2, 5, 50, 99, 100])
    for (const ptimeMs of [10, 20, 40])
      test(`is heard after 100 ms, or four packets, though its numbers begin ${behind} behind (${ptimeMs} ms)`, () => {
        const { heard, push, nowMs, receiver } = listen();
        const packets = 1000 / ptimeMs;
        for (let i = 0; i < packets; i++)
          push(NEW, LAST + 1 - behind + i, nowMs + i * ptimeMs, 90_000 + i * ptimeMs * 8);
        // Each packet of this test has 20 ms of audio: what comes faster than time is left out.
        const count = heard.filter((who) => who === NEW).length;
        const lostMs = Math.max(100, 3 * ptimeMs);
        const wanted = Math.min(packets - lostMs / ptimeMs, 1000 / 20 - lostMs / 20);
        assert.ok(count >= wanted - 1, `${count} frames of ${wanted}`);
        assert.ok(receiver.stats.restarts <= 1);
      });

  test('is heard as soon where a loss of the former one is given up meanwhile', () => {
    const { receiver, push, nowMs } = listen();
    push(OLD, LAST + 2, nowMs);
    for (let i = 0; i <= 5; i++) push(NEW, LAST - 20 + i, nowMs + 10 + i * 20, 90_000 + i * 160);
    assert.equal(receiver.stats.lost, 1);
    assert.equal(receiver.stats.restarts, 1);
  });
});

describe('the same sender is no newcomer', () => {
  test('where a packet that must wait for one before it comes between late ones', () => {
    const { receiver, push, nowMs } = listen();
    for (let i = 0; i <= 4; i++) push(OLD, LAST - 20 + i, nowMs + i * 20);
    push(OLD, LAST + 2, nowMs + 90);
    for (let i = 5; i <= 7; i++) push(OLD, LAST - 20 + i, nowMs + i * 20);
    assert.equal(receiver.stats.restarts, 0);
  });

  test('where its packets come late together', () => {
    const { receiver, push, nowMs } = listen();
    push(OLD, LAST + 11, nowMs + 220);
    for (let i = 1; i <= 10; i++) push(OLD, LAST + i, nowMs + 225 + i);
    for (let i = 12; i <= 20; i++) push(OLD, LAST + i, nowMs + i * 20);
    assert.equal(receiver.stats.restarts, 0);
  });

  test('where each packet comes twice', () => {
    const { receiver, heard, push, nowMs } = listen();
    for (let i = 1; i <= 50; i++) {
      push(OLD, LAST + i, nowMs + i * 20);
      push(OLD, LAST + i - 5, nowMs + i * 20 + 3);
    }
    assert.equal(receiver.stats.restarts, 0);
    assert.equal(heard.length, 50);
  });

  test('where the last packets come once more', () => {
    const { receiver, push, nowMs } = listen();
    for (let i = -9; i <= 0; i++) push(OLD, LAST + i, nowMs + i);
    assert.equal(receiver.stats.duplicates, 10);
    assert.equal(receiver.stats.restarts, 0);
  });
});
