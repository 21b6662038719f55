import { FRAME_MS, IDLE_MS, MAX_LEAD_MS } from '../units/audio.ts';
import { RTP_HEADER_BYTES } from './packet.ts';
import { RtpReceiver } from './receiver.ts';
import type { RtpReceiverOptions } from './receiver-options.ts';
import { RtpSender } from './sender.ts';
import type { RtpSocket } from './socket.ts';

const CLOCK_RATE = 8_000;
const FRAME_SAMPLES = (FRAME_MS * CLOCK_RATE) / 1000;
/** Static payload types (RFC 3551 table 4), and the byte value of silence. */
const CODECS = { pcmu: { payloadType: 0, silence: 0xff }, pcma: { payloadType: 8, silence: 0xd5 } } as const;
/** Payload type of telephone events (RFC 4733) on external media. Digits are reported by ARI. */
const DTMF_PAYLOAD_TYPE = 101;
/** How long a packet is held for a missing one before it. */
const MAX_REORDER_MS = 60;

/** G.711: the only codec that RTP external media carries in both directions in a call at 8 kHz. */
export type RtpCodec = keyof typeof CODECS;

/**
 * RTP settings of one call. `ssrc` should be random (RFC 3550 section 5.1). For the first sequence
 * number and timestamp see `media/rtp-start.ts`.
 */
export interface RtpTransportOptions {
  readonly codec: RtpCodec;
  readonly ssrc: number;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly concealment: RtpReceiverOptions['concealment'];
  readonly onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
}

/** RTP to and from one external media channel (chan_rtp): G.711, 20 ms frames. */
export class RtpTransport {
  readonly payloadOffset = RTP_HEADER_BYTES;
  /** Asterisk forwards a packet as it arrives. */
  readonly playoutDelayMs = 0;
  #lastReceivedMs: number;
  readonly #socket: RtpSocket;
  readonly #receiver: RtpReceiver;
  readonly #sender: RtpSender;

  /** Takes ownership of the socket. */
  constructor(socket: RtpSocket, options: RtpTransportOptions) {
    const { payloadType, silence } = CODECS[options.codec];
    const { ssrc, sequenceNumber, timestamp, onFrame, concealment } = options;
    this.#socket = socket;
    this.#receiver = new RtpReceiver({
      payloadType,
      dtmfPayloadType: DTMF_PAYLOAD_TYPE,
      clockRate: CLOCK_RATE,
      frameSamples: FRAME_SAMPLES,
      frameBytes: FRAME_SAMPLES,
      silence,
      maxReorderMs: MAX_REORDER_MS,
      idleMs: IDLE_MS,
      maxLeadMs: MAX_LEAD_MS,
      concealment,
      onFrame,
    });
    this.#sender = new RtpSender({
      payloadType,
      frameSamples: FRAME_SAMPLES,
      frameBytes: FRAME_SAMPLES,
      ssrc,
      sequenceNumber,
      timestamp,
    });
    this.#lastReceivedMs = performance.now();
    socket.listen((datagram, arrivedMs) => {
      this.#lastReceivedMs = arrivedMs;
      this.#receiver.push(datagram, arrivedMs);
    });
  }

  /** When data last arrived from Asterisk, by the relay's clock, ms. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  /** Our UDP port. Other calls may share it. */
  get localPort(): number {
    return this.#socket.localPort;
  }

  /** Sets the destination of packets, which is also the only accepted source. */
  connect(address: string, port: number): void {
    this.#socket.connect(address, port);
  }

  frame(): Buffer {
    return this.#sender.next();
  }

  send(frame: Buffer): void {
    this.#socket.send(frame);
  }

  skip(frames: number): void {
    this.#sender.skip(frames);
  }

  begin(nowMs: number): void {
    this.#receiver.begin(nowMs);
  }

  get hasReceived(): boolean {
    return this.#receiver.stats.packetsReceived > 0;
  }

  keyHeard(durationMs: number, nowMs: number): void {
    this.#receiver.keyHeard(durationMs, nowMs);
  }

  tick(nowMs: number): void {
    this.#receiver.tick(nowMs);
  }

  /** Nothing to do: with RTP no audio is queued in Asterisk. */
  flush(): void {}

  figures() {
    const { stats } = this.#receiver;
    return {
      packetsReceived: stats.packetsReceived,
      packetsSent: this.#sender.packetsSent,
      lost: stats.lost,
      late: stats.late,
      duplicates: stats.duplicates,
      reordered: stats.reordered,
      early: stats.early,
      malformed: stats.malformed + stats.wrongPayloadType + stats.strays,
      filledFrames: stats.filledFrames,
      concealedFrames: stats.concealedFrames,
      ssrcChanges: stats.ssrcChanges,
      jitterMs: stats.jitterMs,
      longestGapMs: stats.longestGapMs,
      sendErrors: this.#socket.stats.errors,
    };
  }

  async close(): Promise<void> {
    this.#receiver.flush();
    this.#socket.close();
  }
}
