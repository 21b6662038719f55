import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  createRtpHeader,
  parseRtpHeader,
  sequenceDistance,
  timestampDistance,
  writeRtpHeader,
} from './packet.ts';

const FIXED = '8080fffefffffffe01020304';

function parse(hex: string) {
  const header = createRtpHeader();
  const error = parseRtpHeader(Buffer.from(hex, 'hex'), header);
  return error ?? header;
}

describe('an RTP packet', () => {
  test('is read field by field', () => {
    assert.deepEqual(parse(`${FIXED}aabb`), {
      marker: true,
      payloadType: 0,
      sequenceNumber: 65534,
      timestamp: 4294967294,
      ssrc: 0x01020304,
      payloadOffset: 12,
      payloadLength: 2,
    });
  });

  test('may have CSRCs, an extension and padding around its payload', () => {
    const header = parse(`b276000100000002000000030000000a0000000bbede000122222222aabbcc000003`);
    assert.ok(typeof header === 'object');
    assert.equal(header.marker, false);
    assert.equal(header.payloadType, 0x76);
    assert.equal(header.payloadOffset, 12 + 8 + 8);
    assert.equal(header.payloadLength, 3);
  });

  test('may be empty', () => {
    const header = parse(FIXED);
    assert.ok(typeof header === 'object');
    assert.equal(header.payloadLength, 0);
  });

  const malformed: [string, string][] = [
    ['', 'too-short'],
    [FIXED.slice(0, 22), 'too-short'],
    [`40${FIXED.slice(2)}aabb`, 'wrong-version'],
    [`00${FIXED.slice(2)}aabb`, 'wrong-version'],
    [`81${FIXED.slice(2)}aabbcc`, 'truncated-csrc'],
    [`8f${FIXED.slice(2)}${'00'.repeat(59)}`, 'truncated-csrc'],
    [`90${FIXED.slice(2)}bede00`, 'truncated-extension'],
    [`90${FIXED.slice(2)}bede0001aabbcc`, 'truncated-extension'],
    [`90${FIXED.slice(2)}bedeffff`, 'truncated-extension'],
    [`a0${FIXED.slice(2)}aabb04`, 'bad-padding'],
    [`a0${FIXED.slice(2)}aabb00`, 'bad-padding'],
    [`a0${FIXED.slice(2)}`, 'bad-padding'],
    [`b0${FIXED.slice(2)}bede0001aaaaaa05`, 'bad-padding'],
  ];
  for (const [hex, error] of malformed) {
    test(`is refused as ${error}: ${hex || 'nothing'}`, () => assert.equal(parse(hex), error));
  }

  test('never throws for random bytes, and its payload lies inside the datagram', () => {
    const header = createRtpHeader();
    for (let i = 0; i < 20_000; i++) {
      const datagram = randomBytes(i % 64);
      if (datagram.length > 0 && i % 2 === 0) datagram[0] = 0x80 | ((datagram[0] as number) & 0x3f);
      if (parseRtpHeader(datagram, header) !== undefined) continue;
      assert.ok(header.payloadOffset >= 12 && header.payloadLength >= 0);
      assert.ok(header.payloadOffset + header.payloadLength <= datagram.length);
    }
  });

  test('is written as it is read', () => {
    const packet = Buffer.alloc(14);
    writeRtpHeader(packet, true, 0, 65534, 4294967294, 0x01020304);
    assert.equal(packet.toString('hex'), `${FIXED}0000`);
  });
});

test('distances are right across the wraps', () => {
  assert.equal(sequenceDistance(0, 65535), 1);
  assert.equal(sequenceDistance(65535, 0), -1);
  assert.equal(sequenceDistance(32768, 0), -32768);
  assert.equal(timestampDistance(159, 4294967295), 160);
  assert.equal(timestampDistance(4294967295, 159), -160);
});
