import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createRtpHeader, parseRtpHeader, writeRtpHeader } from '../src/rtp/packet.ts';
import type { FuzzTarget } from './target.ts';

const datagram = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
/** Version 2, so that the parser goes past the first byte. */
const likely = fc
  .tuple(fc.integer({ min: 0, max: 63 }), fc.uint8Array({ minLength: 11, maxLength: 200 }))
  .map(([low, rest]) => Buffer.from([0x80 | low, ...rest]));

/** A packet as RFC 3550 section 5.1 builds it, and where its payload lies. */
const built = fc
  .record({
    csrcs: fc.integer({ min: 0, max: 15 }),
    extensionWords: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
    payloadLength: fc.integer({ min: 0, max: 40 }),
    padding: fc.option(fc.integer({ min: 1, max: 12 }), { nil: 0 }),
    profile: fc.integer({ min: 0, max: 0xffff }),
  })
  .map(({ csrcs, extensionWords, payloadLength, padding, profile }) => {
    const extension = extensionWords === undefined ? 0 : 4 + extensionWords * 4;
    const payloadOffset = 12 + csrcs * 4 + extension;
    const bytes = Buffer.alloc(payloadOffset + payloadLength + padding, 7);
    bytes[0] = 0x80 | (padding > 0 ? 0x20 : 0) | (extension > 0 ? 0x10 : 0) | csrcs;
    if (extension > 0) bytes.writeUInt16BE(profile, 12 + csrcs * 4);
    if (extension > 0) bytes.writeUInt16BE(extension / 4 - 1, 14 + csrcs * 4);
    if (padding > 0) bytes[bytes.length - 1] = padding;
    return { bytes, payloadOffset, payloadLength, padding };
  });

export const targets: readonly FuzzTarget[] = [
  {
    name: 'rtp header: any datagram is refused or its payload lies within it',
    property: fc.property(fc.oneof(datagram, likely), (bytes) => {
      const header = createRtpHeader();
      if (parseRtpHeader(bytes, header) !== undefined) return;
      assert.ok(header.payloadOffset >= 12 && header.payloadLength >= 0);
      assert.ok(header.payloadOffset + header.payloadLength <= bytes.length);
      assert.ok(header.timestamp >= 0 && header.timestamp < 2 ** 32);
      assert.ok(header.ssrc >= 0 && header.ssrc < 2 ** 32);
    }),
  },
  {
    name: 'rtp header: what the standard builds is read, and nothing of it that is cut off or false',
    property: fc.property(built, fc.nat(400), (packet, cut) => {
      const { bytes, payloadOffset, payloadLength, padding } = packet;
      const header = createRtpHeader();
      assert.equal(parseRtpHeader(bytes, header), undefined);
      const { payloadOffset: at, payloadLength: length } = header;
      assert.deepEqual([at, length], [payloadOffset, payloadLength]);
      if (cut < payloadOffset) assert.notEqual(parseRtpHeader(bytes.subarray(0, cut), header), undefined);
      for (const version of [0x00, 0x40, 0xc0]) {
        const other = Buffer.from(bytes);
        other[0] = (bytes.readUInt8() & 0x3f) | version;
        assert.equal(parseRtpHeader(other, header), 'wrong-version');
      }
      if (padding === 0) return;
      for (const wrong of [0, payloadLength + padding + 1]) {
        const other = Buffer.from(bytes);
        other[other.length - 1] = wrong;
        assert.equal(parseRtpHeader(other, header), 'bad-padding');
      }
    }),
  },
  {
    name: 'rtp header: what is written is read',
    property: fc.property(
      fc.record({
        marker: fc.boolean(),
        payloadType: fc.integer({ min: 0, max: 127 }),
        sequenceNumber: fc.integer({ min: 0, max: 0xffff }),
        timestamp: fc.integer({ min: 0, max: 0xffff_ffff }),
        ssrc: fc.integer({ min: 0, max: 0xffff_ffff }),
      }),
      ({ marker, payloadType, sequenceNumber, timestamp, ssrc }) => {
        const bytes = Buffer.alloc(172);
        writeRtpHeader(bytes, marker, payloadType, sequenceNumber, timestamp, ssrc);
        const header = createRtpHeader();
        assert.equal(parseRtpHeader(bytes, header), undefined);
        const expected = { marker, payloadType, sequenceNumber, timestamp, ssrc };
        assert.deepEqual({ ...header }, { ...expected, payloadOffset: 12, payloadLength: 160 });
      },
    ),
  },
];
