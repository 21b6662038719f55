/** Reads what `tcpdump -i any udp` wrote. Pure. */

/** One captured UDP datagram (IPv4). */
export interface Datagram {
  /** Capture time, milliseconds since 1970 with a microsecond fraction. */
  timeMs: number;
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  payload: Uint8Array;
}

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
/**
 * Bytes before the IP header, by link type: Ethernet, raw IP, and the two forms of Linux's "any"
 * capture.
 */
const LINK_HEADER_BYTES: Readonly<Record<number, number>> = { 1: 14, 101: 0, 113: 16, 276: 20 };
const UDP_PROTOCOL = 17;

/**
 * The UDP datagrams of a capture file in order; a record cut off at the end is left out.
 * Throws an Error when it is no little-endian pcap file of a known link type.
 */
export function parsePcap(file: Uint8Array): Datagram[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < FILE_HEADER_BYTES) return [];
  const magic = view.getUint32(0, true);
  const fractionsPerMs = magic === 0xa1b2c3d4 ? 1e3 : magic === 0xa1b23c4d ? 1e6 : undefined;
  const linkType = view.getUint32(20, true);
  const linkBytes = LINK_HEADER_BYTES[linkType];
  if (fractionsPerMs === undefined || linkBytes === undefined) {
    throw new Error(`not a capture that can be read: magic ${magic.toString(16)}, link type ${linkType}`);
  }
  const datagrams: Datagram[] = [];
  let at = FILE_HEADER_BYTES;
  while (at + RECORD_HEADER_BYTES <= file.length) {
    const timeMs = view.getUint32(at, true) * 1000 + view.getUint32(at + 4, true) / fractionsPerMs;
    const length = view.getUint32(at + 8, true);
    at += RECORD_HEADER_BYTES;
    if (at + length > file.length) break;
    const datagram = parseIp(file.subarray(at + linkBytes, at + length), timeMs);
    if (datagram) datagrams.push(datagram);
    at += length;
  }
  return datagrams;
}

function parseIp(packet: Uint8Array, timeMs: number): Datagram | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if (packet.length < 28 || view.getUint8(0) >> 4 !== 4 || view.getUint8(9) !== UDP_PROTOCOL)
    return undefined;
  const udp = (view.getUint8(0) & 0x0f) * 4;
  if (packet.length < udp + 8) return undefined;
  return {
    timeMs,
    source: packet.subarray(12, 16).join('.'),
    sourcePort: view.getUint16(udp),
    destination: packet.subarray(16, 20).join('.'),
    destinationPort: view.getUint16(udp + 2),
    payload: packet.subarray(udp + 8, udp + view.getUint16(udp + 4)),
  };
}
