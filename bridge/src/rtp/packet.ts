/** Bytes of the fixed RTP header (RFC 3550 section 5.1). The bridge sends no other part. */
export const RTP_HEADER_BYTES = 12;

/** Result of `parseRtpHeader`. One object is made once and overwritten for each packet. */
export interface RtpHeader {
  marker: boolean;
  payloadType: number;
  sequenceNumber: number;
  timestamp: number;
  ssrc: number;
  /** Offset of the payload: after the CSRC list and the header extension. */
  payloadOffset: number;
  /** Bytes of payload without padding; 0 is valid. */
  payloadLength: number;
}

/** Why a datagram is not an RTP packet. */
export type RtpParseError =
  | 'too-short'
  | 'wrong-version'
  | 'truncated-csrc'
  | 'truncated-extension'
  | 'bad-padding';

/** Makes an empty header for `parseRtpHeader` to fill. */
export function createRtpHeader(): RtpHeader {
  return {
    marker: false,
    payloadType: 0,
    sequenceNumber: 0,
    timestamp: 0,
    ssrc: 0,
    payloadOffset: 0,
    payloadLength: 0,
  };
}

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                           timestamp                           |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |           synchronization source (SSRC) identifier            |
// +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
// |            contributing source (CSRC) identifiers             |
// |                             ....                              |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// With X the header extension follows (RFC 3550 section 5.3.1):
//
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |      defined by profile       |   length in 32-bit words      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                        header extension                       |
// |                             ....                              |

/**
 * Parses an RTP header into `out` (RFC 3550 section 5.1). Returns the error instead of throwing;
 * `out` is then partly overwritten.
 */
export function parseRtpHeader(datagram: Buffer, out: RtpHeader): RtpParseError | undefined {
  const length = datagram.length;
  if (length < RTP_HEADER_BYTES) return 'too-short';
  const flags = datagram[0] as number;
  if (flags >> 6 !== 2) return 'wrong-version';

  let offset = RTP_HEADER_BYTES + (flags & 0x0f) * 4;
  if (offset > length) return 'truncated-csrc';
  if ((flags & 0x10) !== 0) {
    if (offset + 4 > length) return 'truncated-extension';
    offset += 4 + datagram.readUInt16BE(offset + 2) * 4;
    if (offset > length) return 'truncated-extension';
  }
  // The last byte of the padding is its length, including itself (RFC 3550 section 5.1, P bit).
  const padding = (flags & 0x20) === 0 ? 0 : (datagram[length - 1] as number);
  if (offset + padding > length || ((flags & 0x20) !== 0 && padding === 0)) return 'bad-padding';

  const second = datagram[1] as number;
  out.marker = (second & 0x80) !== 0;
  out.payloadType = second & 0x7f;
  out.sequenceNumber = ((datagram[2] as number) << 8) | (datagram[3] as number);
  out.timestamp = readWord(datagram, 4);
  out.ssrc = readWord(datagram, 8);
  out.payloadOffset = offset;
  out.payloadLength = length - offset - padding;
  return undefined;
}

// Reads single bytes: Buffer's own methods repeat bounds checks that are not needed here.
function readWord(source: Buffer, at: number): number {
  const high = ((source[at] as number) << 8) | (source[at + 1] as number);
  return high * 0x1_0000 + (((source[at + 2] as number) << 8) | (source[at + 3] as number));
}

function writeWord(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

/**
 * Writes a fixed header (RFC 3550 section 5.1) without CSRC, extension or padding to the first 12
 * bytes of `target`.
 */
export function writeRtpHeader(
  target: Buffer,
  marker: boolean,
  payloadType: number,
  sequenceNumber: number,
  timestamp: number,
  ssrc: number,
): void {
  target[0] = 0x80;
  target[1] = (marker ? 0x80 : 0) | payloadType;
  target[2] = sequenceNumber >> 8;
  target[3] = sequenceNumber;
  writeWord(target, 4, timestamp);
  writeWord(target, 8, ssrc);
}

/** Distance from sequence number `b` to `a`, -32768 to 32767. Correct across the wrap at 65535. */
export function sequenceDistance(a: number, b: number): number {
  return ((a - b) << 16) >> 16;
}

/** Distance from timestamp `b` to `a`, -2^31 to 2^31-1. Correct across the wrap at 2^32-1. */
export function timestampDistance(a: number, b: number): number {
  return (a - b) | 0;
}
