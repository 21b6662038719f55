import { RTP_HEADER_BYTES, writeRtpHeader } from './packet.ts';

/**
 * Initial state of a sender. `ssrc`, `sequenceNumber` and `timestamp` should be random (RFC 3550
 * section 5.1).
 */
export interface RtpSenderOptions {
  payloadType: number;
  ssrc: number;
  sequenceNumber: number;
  timestamp: number;
  /** Timestamp units per packet. */
  frameSamples: number;
  /** Payload bytes per packet. */
  frameBytes: number;
}

/** Makes the packets of one outgoing stream, all in the same buffer. */
export class RtpSender {
  /** Packets made so far. */
  packetsSent = 0;
  readonly #payloadType: number;
  readonly #ssrc: number;
  readonly #frameSamples: number;
  readonly #frameBytes: number;
  readonly #packet: Buffer;
  #sequenceNumber: number;
  #timestamp: number;
  #marker = true;

  constructor(options: RtpSenderOptions) {
    this.#payloadType = options.payloadType;
    this.#ssrc = options.ssrc >>> 0;
    this.#sequenceNumber = options.sequenceNumber & 0xffff;
    this.#timestamp = options.timestamp >>> 0;
    this.#frameSamples = options.frameSamples;
    this.#frameBytes = options.frameBytes;
    this.#packet = Buffer.alloc(RTP_HEADER_BYTES + options.frameBytes);
  }

  /** Payload bytes made so far (RFC 3550 section 6.4.1, sender's octet count). */
  get octetsSent(): number {
    return this.packetsSent * this.#frameBytes;
  }

  /**
   * Returns the next packet with its header written. The caller writes the payload from
   * `RTP_HEADER_BYTES` on and sends it. Each call returns the same buffer. The first packet, and
   * the first one after `skip`, have the marker bit.
   */
  next(): Buffer {
    const packet = this.#packet;
    writeRtpHeader(
      packet,
      this.#marker,
      this.#payloadType,
      this.#sequenceNumber,
      this.#timestamp,
      this.#ssrc,
    );
    this.#marker = false;
    this.#sequenceNumber = (this.#sequenceNumber + 1) & 0xffff;
    this.#timestamp = (this.#timestamp + this.#frameSamples) >>> 0;
    this.packetsSent++;
    return packet;
  }

  /** Skips frames that are not sent: the timestamp advances, the sequence number does not. */
  skip(frames: number): void {
    this.#timestamp = (this.#timestamp + frames * this.#frameSamples) >>> 0;
    this.#marker = true;
  }
}
