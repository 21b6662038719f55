/** The audio end of a telephone of ours: sends RTP that a test makes, and keeps what comes. */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from '../mock-pipecat/src/format.ts';
import { CALLER_HZ, tone } from '../mock-pipecat/src/tones.ts';
import type { Datagram } from '../sipp/pcap.ts';
import { examineStream, type StreamReport } from '../sipp/stream.ts';
import { LOCALHOST } from '../stack/ports.ts';

/** One packet. */
export interface RtpOut {
  payloadType?: number;
  marker?: boolean;
  sequenceNumber: number;
  timestamp: number;
  payload: Uint8Array;
}

const FRAME_MS = 20;
const FRAME_SAMPLES = 160;
const SAMPLES_PER_MS = 8;
/** Keys by their number in RFC 4733 section 3.2. */
const KEYS = '0123456789*#ABCD';

/** A UDP port for RTP in mu-law. */
export class RtpEnd implements Disposable {
  /** What came, as a capture has it. */
  readonly datagrams: Datagram[] = [];
  /** Where packets go, on loopback; 0: nowhere yet. */
  farPort = 0;
  farAddress = LOCALHOST;
  readonly #socket: Socket;
  readonly #ssrc = randomInt(2 ** 32);
  #keySequence = 0;
  #talking: NodeJS.Timeout | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (payload, { address, port }) => {
      const { address: destination, port: destinationPort } = socket.address();
      const timeMs = performance.timeOrigin + performance.now();
      this.datagrams.push({
        timeMs,
        source: address,
        sourcePort: port,
        destination,
        destinationPort,
        payload,
      });
    });
  }

  /** Opens a port of this address. */
  static async open(address: string): Promise<RtpEnd> {
    const socket = createSocket('udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    return new RtpEnd(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** Sends one packet. */
  send({ payloadType = 0, marker = false, sequenceNumber, timestamp, payload }: RtpOut): void {
    if (this.farPort === 0) return;
    const header = Buffer.alloc(12);
    header.writeUInt8(0x80, 0);
    header.writeUInt8(payloadType | (marker ? 0x80 : 0), 1);
    header.writeUInt16BE(sequenceNumber & 0xffff, 2);
    header.writeUInt32BE(timestamp >>> 0, 4);
    header.writeUInt32BE(this.#ssrc, 8);
    this.#socket.send(Buffer.concat([header, payload]), this.farPort, this.farAddress);
  }

  /**
   * From now on sends a tone, a packet every 20 ms, until `hush`. The first packet has the sequence
   * number `first`.
   */
  talk(hz = CALLER_HZ, first = 0): void {
    const frame = encode(tone(hz, FRAME_MS, 8000), 'pcmu');
    this.onGrid((count) => {
      const sequenceNumber = first + count;
      this.send({ sequenceNumber, timestamp: sequenceNumber * FRAME_SAMPLES, payload: frame });
    });
  }

  /**
   * Presses keys by RFC 4733, each for `onMs` with `offMs` after it, and sends no audio meanwhile.
   * Resolves with the delay of the latest packet, in ms: a busy machine sends late.
   */
  async press(keys: string, onMs: number, offMs: number): Promise<number> {
    this.hush();
    const beganMs = performance.now();
    let worstLateMs = 0;
    for (const [at, key] of [...keys].entries()) {
      const pressedMs = at * (onMs + offMs);
      for (let heldMs = 0; heldMs <= onMs; heldMs += FRAME_MS) {
        const dueMs = beganMs + pressedMs + heldMs;
        await sleep(Math.max(0, dueMs - performance.now()));
        worstLateMs = Math.max(worstLateMs, performance.now() - dueMs);
        // The last packet of a key comes three times (RFC 4733 section 2.5.1.4).
        const isEnd = heldMs === onMs;
        for (let time = 0; time < (isEnd ? 3 : 1); time++) this.#sendKey(key, pressedMs, heldMs, isEnd);
      }
    }
    return worstLateMs;
  }

  #sendKey(key: string, pressedMs: number, heldMs: number, isEnd: boolean): void {
    const duration = Math.max(1, heldMs * SAMPLES_PER_MS);
    this.send({
      payloadType: 101,
      marker: heldMs === 0,
      sequenceNumber: this.#keySequence++,
      timestamp: pressedMs * SAMPLES_PER_MS,
      payload: Uint8Array.of(KEYS.indexOf(key), isEnd ? 0x8a : 0x0a, duration >> 8, duration & 0xff),
    });
  }

  /** Calls `act` every 20 ms by an absolute clock, until `hush` or another `onGrid`. */
  onGrid(act: (count: number) => void): void {
    this.hush();
    const beganMs = performance.now();
    let count = 0;
    const step = () => {
      while (beganMs + count * FRAME_MS <= performance.now()) act(count++);
      this.#talking = setTimeout(step, Math.max(1, beganMs + count * FRAME_MS - performance.now()));
    };
    step();
  }

  /** Stops what `talk` or `onGrid` began. */
  hush(): void {
    clearTimeout(this.#talking);
  }

  /** What came since `sinceMs` (ms since 1970), examined. */
  heard(sinceMs = 0): StreamReport {
    return examineStream(
      this.datagrams.filter(({ timeMs }) => timeMs >= sinceMs),
      sinceMs,
    );
  }

  [Symbol.dispose](): void {
    this.hush();
    this.#socket.close();
  }
}
