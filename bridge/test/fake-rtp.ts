import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const HEADER_BYTES = 12;
const FRAME_SAMPLES = 160;

/** One RTP packet that came from the bridge. */
export interface HeardPacket {
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly payload: Buffer;
  /** Arrival on `performance.now()`'s clock, ms. */
  readonly atMs: number;
}

/**
 * Asterisk's end of an external media channel: a UDP socket that sends to one address and keeps
 * what it receives.
 */
export class FakeRtp {
  readonly heard: HeardPacket[] = [];
  readonly #socket: Socket;
  readonly #payloadType: number;
  readonly #target: { readonly address: string; readonly port: number };
  #sequenceNumber = 65_530;
  #timestamp = 2 ** 32 - 320;
  #ssrc = 0xfeed;

  private constructor(socket: Socket, externalHost: string, format: string) {
    this.#socket = socket;
    const [address = '', port] = externalHost.split(':');
    this.#target = { address, port: Number(port) };
    this.#payloadType = format === 'alaw' ? 8 : 0;
    socket.on('message', (datagram) => this.#keep(datagram));
    // The bridge may have closed its port already.
    socket.on('error', () => {});
  }

  /** Opens a port that sends to `externalHost` (address:port) in `format` (ulaw or alaw). */
  static async open(externalHost: string, format: string): Promise<FakeRtp> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new FakeRtp(socket, externalHost, format);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** The bridge's port. */
  get targetPort(): number {
    return this.#target.port;
  }

  /** Sends one frame of 20 ms. */
  send(payload: Buffer): void {
    const packet = Buffer.alloc(HEADER_BYTES + payload.length);
    packet[0] = 0x80;
    packet[1] = this.#payloadType;
    packet.writeUInt16BE(this.#sequenceNumber, 2);
    packet.writeUInt32BE(this.#timestamp, 4);
    packet.writeUInt32BE(this.#ssrc, 8);
    payload.copy(packet, HEADER_BYTES);
    this.#sequenceNumber = (this.#sequenceNumber + 1) & 0xffff;
    this.#timestamp = (this.#timestamp + FRAME_SAMPLES) >>> 0;
    this.#socket.send(packet, this.#target.port, this.#target.address);
  }

  /** The next packets are another source's, with numbers and timestamps of its own. */
  changeSource(): void {
    this.#ssrc++;
    this.#sequenceNumber = 20_000;
    this.#timestamp = 1e9;
  }

  /** All payloads heard so far in a row, without the frames that are silence throughout. */
  speech(silence = 0xff): Buffer {
    return Buffer.concat(
      this.heard.map(({ payload }) => payload).filter((payload) => payload.some((byte) => byte !== silence)),
    );
  }

  async close(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  #keep(datagram: Buffer): void {
    this.heard.push({
      marker: ((datagram[1] ?? 0) & 0x80) !== 0,
      payloadType: (datagram[1] ?? 0) & 0x7f,
      sequenceNumber: datagram.readUInt16BE(2),
      timestamp: datagram.readUInt32BE(4),
      payload: datagram.subarray(HEADER_BYTES),
      atMs: performance.now(),
    });
  }
}
