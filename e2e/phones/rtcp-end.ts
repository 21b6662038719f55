/**
 * The RTCP end of our own telephone (RFC 3550 section 6): receives sender reports and answers them.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { LOCALHOST } from '../stack/ports.ts';
import type { RtpEnd } from './rtp-end.ts';

const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const HEARD_LIMIT_MS = 12_000;
/** Our SSRC in reports; who sends no audio has one, too. */
const SSRC = 0x0badcafe;

/** The port above a telephone's RTP port. */
export class RtcpEnd implements Disposable {
  readonly #socket: Socket;
  readonly #rtp: RtpEnd;
  readonly #first = Promise.withResolvers<void>();
  #heard: { ssrc: number; lsr: number; atMs: number } | undefined;

  private constructor(socket: Socket, rtp: RtpEnd) {
    this.#socket = socket;
    this.#rtp = rtp;
    socket.on('message', (datagram) => {
      if (datagram.length < 28 || datagram.readUInt8(1) !== SENDER_REPORT) return;
      // The middle 32 bits of the NTP timestamp.
      this.#heard = {
        ssrc: datagram.readUInt32BE(4),
        lsr: datagram.readUInt32BE(10),
        atMs: performance.now(),
      };
      this.#first.resolve();
    });
  }

  /** Opens it. Rejects where the port is another's. */
  static async open(address: string, rtp: RtpEnd): Promise<RtcpEnd> {
    const socket = createSocket('udp4');
    socket.bind(rtp.port + 1, address);
    await once(socket, 'listening');
    return new RtcpEnd(socket, rtp);
  }

  /** Resolves when a sender report has come. Rejects after 12 s. */
  async heard(): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const limit = setTimeout(() => reject(new Error('no RTCP report came')), HEARD_LIMIT_MS);
    await Promise.race([this.#first.promise, promise]).finally(() => clearTimeout(limit));
  }

  /** Sends a receiver report of what came. Throws an Error before a sender report has come. */
  report(): void {
    if (this.#heard === undefined) throw new Error('nothing to report on');
    const { ssrc, lsr, atMs } = this.#heard;
    const packet = Buffer.alloc(32);
    packet.writeUInt8(0x81, 0);
    packet.writeUInt8(RECEIVER_REPORT, 1);
    packet.writeUInt16BE(packet.length / 4 - 1, 2);
    packet.writeUInt32BE(SSRC, 4);
    packet.writeUInt32BE(ssrc, 8);
    packet.writeUInt32BE(this.#rtp.datagrams.length, 16);
    packet.writeUInt32BE(lsr, 24);
    packet.writeUInt32BE(Math.round(((performance.now() - atMs) / 1000) * 65_536), 28);
    this.#socket.send(packet, this.#rtp.farPort + 1, LOCALHOST);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
