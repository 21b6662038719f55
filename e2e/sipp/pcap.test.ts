import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePcap } from './pcap.ts';

/** A capture file of link type 276 (Linux "any"): header, then records of the given packets. */
function captureFile(...packets: Buffer[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt32LE(276, 20);
  const records = packets.map((packet, at) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1_700_000_000 + at, 0);
    record.writeUInt32LE(250_500, 4);
    record.writeUInt32LE(packet.length, 8);
    return Buffer.concat([record, packet]);
  });
  return Buffer.concat([header, ...records]);
}

/** 127.0.0.1:24000 to 127.0.0.2:40000, UDP, with the given bytes, after 20 bytes of link header. */
function udpPacket(payload: Buffer): Buffer {
  const ip = Buffer.from('4500000000004000401100007f0000017f000002', 'hex');
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(24_000, 0);
  udp.writeUInt16BE(40_000, 2);
  udp.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([Buffer.alloc(20), ip, udp, payload]);
}

test('datagrams come out with their time, addresses, ports and payload', () => {
  const [first, second] = parsePcap(
    captureFile(udpPacket(Buffer.from('one')), udpPacket(Buffer.from('second'))),
  );
  assert.deepEqual(
    { ...first, payload: Buffer.from(first?.payload ?? []).toString() },
    {
      timeMs: 1_700_000_000_250.5,
      source: '127.0.0.1',
      sourcePort: 24_000,
      destination: '127.0.0.2',
      destinationPort: 40_000,
      payload: 'one',
    },
  );
  assert.equal(second?.timeMs, 1_700_000_001_250.5);
});

test('a record that is cut off at the end is left out, wherever it is cut', () => {
  const file = captureFile(udpPacket(Buffer.from('one')), udpPacket(Buffer.from('two')));
  const whole = captureFile(udpPacket(Buffer.from('one'))).length;
  for (let length = whole; length < file.length; length++)
    assert.equal(parsePcap(file.subarray(0, length)).length, 1);
});

test('what is no IPv4 UDP is left out, and random bytes in packets never throw', () => {
  assert.deepEqual(parsePcap(captureFile(Buffer.alloc(20), Buffer.alloc(60), Buffer.alloc(3))), []);
  let seed = 7;
  const noise = () =>
    Buffer.from(
      Array.from({ length: 64 }, () => {
        seed = (seed * 1103515245 + 12345) & 0x7fffffff;
        return seed >> 16;
      }),
    );
  for (let i = 0; i < 200; i++) parsePcap(captureFile(noise()));
});

test('an empty file has no datagrams; another format is an error', () => {
  assert.deepEqual(parsePcap(Buffer.alloc(0)), []);
  assert.throws(() => parsePcap(Buffer.alloc(100)), /not a capture/);
});
