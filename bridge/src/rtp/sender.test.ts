import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRtpHeader, parseRtpHeader } from './packet.ts';
import { RtpSender } from './sender.ts';

function sender() {
  return new RtpSender({
    payloadType: 8,
    ssrc: 0xfedcba98,
    sequenceNumber: 65535,
    timestamp: 4294967295,
    frameSamples: 160,
    frameBytes: 160,
  });
}

function header(packet: Buffer) {
  const out = createRtpHeader();
  assert.equal(parseRtpHeader(packet, out), undefined);
  return out;
}

test('a sender counts on across the wraps of sequence number and timestamp, with the marker on its first packet', () => {
  const rtp = sender();
  const first = header(rtp.next());
  const second = header(rtp.next());
  assert.deepEqual([first.marker, first.sequenceNumber, first.timestamp], [true, 65535, 4294967295]);
  assert.deepEqual([second.marker, second.sequenceNumber, second.timestamp], [false, 0, 159]);
  assert.deepEqual([second.payloadType, second.ssrc, second.payloadLength], [8, 0xfedcba98, 160]);
  assert.deepEqual([rtp.packetsSent, rtp.octetsSent], [2, 320]);
});

test('skipped frames take time but no sequence number, and set the marker', () => {
  const rtp = sender();
  rtp.next();
  rtp.skip(3);
  const after = header(rtp.next());
  assert.deepEqual([after.marker, after.sequenceNumber, after.timestamp], [true, 0, 639]);
  assert.equal(header(rtp.next()).marker, false);
});

test('all packets are made in the same buffer', () => {
  const rtp = sender();
  const first = rtp.next();
  assert.equal(rtp.next(), first);
  assert.equal(header(first).sequenceNumber, 0);
});
