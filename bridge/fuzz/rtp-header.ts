import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createRtpHeader, parseRtpHeader, writeRtpHeader } from '../src/rtp/packet.ts';
import type { FuzzTarget } from './target.ts';

const datagram = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
/** Version 2, so that the parser goes past the first byte. */
const likely = fc
  .tuple(fc.integer({ min: 0, max: 63 }), fc.uint8Array({ minLength: 11, maxLength: 200 }))
  .map(([low, rest]) => Buffer.from([0x80 | low, ...rest]));

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
