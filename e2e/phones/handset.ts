/**
 * A telephone of our own, for what SIPp cannot do: react to received audio at once, and send
 * packets out of order or drop them.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { parseMessage, type SipMessage } from '../sipp/messages.ts';
import type { Datagram } from '../sipp/pcap.ts';
import { examineStream, parseRtp, type StreamReport } from '../sipp/stream.ts';
import { LOCALHOST, type Ports } from '../stack/ports.ts';

/** Whom to call, and as whom. */
export interface HandsetCall {
  to: string;
  /** The X-Call-ID header. */
  callId: string;
  /** Our address: it says which provider we are. */
  address: string;
}

/** What of an RTP packet differs from the plain run of packets. */
export interface RtpFields {
  sequenceNumber: number;
  /** In samples. */
  timestamp: number;
  ssrc: number;
  marker?: boolean;
  /** 0, mu-law, unless it says 101, a telephone event. */
  payloadType?: number;
}

/** Bytes and samples of a packet of 20 ms. */
export const FRAME = 160;

const FRAME_MS = 20;
const LIMIT_MS = 20_000;
const HEADER_BYTES = 12;

/** Now on the clock of captures and of the mock bot: ms since 1970, with a fraction. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** One call in mu-law. */
export class Handset implements AsyncDisposable {
  /** What came by RTP, as a capture has it. */
  readonly datagrams: Datagram[] = [];
  /** When the far end hung up, ms since 1970. */
  readonly hungUpOn: Promise<number>;
  /** Gets the payload of each audio packet as it comes. */
  onAudio: ((payload: Uint8Array) => void) | undefined;
  answeredAtMs = 0;
  readonly #call: HandsetCall;
  readonly #sip: Socket;
  readonly #rtp: Socket;
  readonly #id = randomUUID();
  readonly #server: number;
  readonly #waiting = new Map<string, (message: SipMessage) => void>();
  readonly #hungUp: (atMs: number) => void;
  readonly #ssrc = randomInt(2 ** 32);
  #toTag = '';
  #mediaPort = 0;
  #over = false;
  #talking: NodeJS.Timeout | undefined;

  private constructor(call: HandsetCall, ports: Ports) {
    this.#call = call;
    this.#server = ports.sip;
    this.#sip = createSocket('udp4', (data) => this.#onSip(parseMessage(data.toString(), nowMs(), false)));
    this.#rtp = createSocket('udp4', (data, from) => this.#onRtp(data, from));
    const { promise, resolve } = Promise.withResolvers<number>();
    this.hungUpOn = promise;
    this.#hungUp = resolve;
  }

  /** Places a call; resolves when it is answered. Throws an Error when it is not within 20 s. */
  static async call(call: HandsetCall, ports: Ports): Promise<Handset> {
    const handset = new Handset(call, ports);
    for (const socket of [handset.#sip, handset.#rtp]) {
      socket.bind(0, call.address);
      await once(socket, 'listening');
    }
    const answer = await handset.#request('INVITE', 1, handset.#offer()).catch((error: Error) => error);
    if (answer instanceof Error || answer.status !== 200) {
      handset.#close();
      throw answer instanceof Error ? answer : new Error(`the call was not answered: ${answer.startLine}`);
    }
    handset.#toTag = answer.headers.to ?? '';
    handset.#mediaPort = Number(/^m=audio (\d+)/m.exec(answer.body)?.[1]);
    handset.answeredAtMs = answer.timeMs;
    handset.#say('ACK', 1);
    return handset;
  }

  /** Sends one RTP packet. */
  send(
    { sequenceNumber, timestamp, ssrc, marker = false, payloadType = 0 }: RtpFields,
    payload: Uint8Array,
  ): void {
    const packet = Buffer.alloc(HEADER_BYTES + payload.length);
    packet.writeUInt8(0x80, 0);
    packet.writeUInt8(payloadType | (marker ? 0x80 : 0), 1);
    packet.writeUInt16BE(sequenceNumber & 0xffff, 2);
    packet.writeUInt32BE(timestamp >>> 0, 4);
    packet.writeUInt32BE(ssrc, 8);
    packet.set(payload, HEADER_BYTES);
    this.#rtp.send(packet, this.#mediaPort, LOCALHOST);
  }

  /**
   * From now on sends a packet every 20 ms, by an absolute clock. `next` returns the packet of each
   * number.
   */
  talk(next: (frame: number) => Uint8Array): void {
    const sequenceNumber = randomInt(2 ** 16);
    const timestamp = randomInt(2 ** 32);
    this.onGrid((frame) => {
      const fields = {
        sequenceNumber: sequenceNumber + frame,
        timestamp: timestamp + frame * FRAME,
        ssrc: this.#ssrc,
      };
      this.send(fields, next(frame));
    });
  }

  /**
   * Calls `act` every 20 ms by an absolute clock, until the call ends or another `onGrid` begins.
   */
  onGrid(act: (frame: number) => void): void {
    clearTimeout(this.#talking);
    const beganMs = performance.now();
    let frame = 0;
    const step = () => {
      while (beganMs + frame * FRAME_MS <= performance.now()) act(frame++);
      this.#talking = setTimeout(step, Math.max(1, beganMs + frame * FRAME_MS - performance.now()));
    };
    step();
  }

  /** What came, examined. */
  heard(): StreamReport {
    return examineStream(this.datagrams, this.answeredAtMs);
  }

  /** The audio that came, from first to last, as it came. */
  audio(): Buffer {
    return Buffer.concat(this.datagrams.map((datagram) => parseRtp(datagram)?.payload ?? new Uint8Array()));
  }

  /** Hangs up, unless the far end has. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#talking);
    if (!this.#over) await this.#request('BYE', 2).catch(() => undefined);
    this.#close();
  }

  #close(): void {
    this.#sip.close();
    this.#rtp.close();
  }

  #onRtp(payload: Buffer, { address, port }: RemoteInfo): void {
    const datagram = {
      timeMs: nowMs(),
      source: address,
      sourcePort: port,
      payload,
      destination: this.#call.address,
      destinationPort: this.#rtp.address().port,
    };
    this.datagrams.push(datagram);
    const packet = this.onAudio && parseRtp(datagram);
    if (packet) this.onAudio?.(packet.payload);
  }

  #onSip(message: SipMessage): void {
    const method = message.headers.cseq?.split(' ')[1] ?? '';
    if (message.status === undefined) {
      if (message.method !== 'ACK') this.#reply(message);
      if (message.method !== 'BYE') return;
      this.#over = true;
      clearTimeout(this.#talking);
      this.#hungUp(message.timeMs);
    } else if (message.status >= 200) this.#waiting.get(method)?.(message);
  }

  #reply({ headers }: SipMessage): void {
    const { via, from, to, cseq } = headers;
    this.#write([
      'SIP/2.0 200 OK',
      `Via: ${via}`,
      `From: ${from}`,
      `To: ${to}`,
      `Call-ID: ${this.#id}`,
      `CSeq: ${cseq}`,
    ]);
  }

  /** Sends a request and resolves with its final response. */
  async #request(method: string, sequence: number, body = ''): Promise<SipMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<SipMessage>();
    this.#waiting.set(method, resolve);
    const limit = setTimeout(() => reject(new Error(`no answer to ${method}`)), LIMIT_MS);
    this.#say(method, sequence, body);
    return promise.finally(() => clearTimeout(limit));
  }

  #say(method: string, sequence: number, body = ''): void {
    const { to, callId, address } = this.#call;
    const { port } = this.#sip.address();
    const target = `sip:${to}@${LOCALHOST}:${this.#server}`;
    this.#write(
      [
        `${method} ${target} SIP/2.0`,
        `Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bK${randomUUID()}`,
        `From: <sip:handset@${address}>;tag=${this.#id}`,
        `To: ${this.#toTag || `<${target}>`}`,
        `Call-ID: ${this.#id}`,
        `CSeq: ${sequence} ${method}`,
        `Contact: <sip:handset@${address}:${port}>`,
        'Max-Forwards: 70',
        `X-Call-ID: ${callId}`,
        ...(body === '' ? [] : ['Content-Type: application/sdp']),
      ],
      body,
    );
  }

  #write(lines: readonly string[], body = ''): void {
    const text = [...lines, `Content-Length: ${body.length}`, '', body].join('\r\n');
    this.#sip.send(text, this.#server, LOCALHOST);
  }

  #offer(): string {
    const { address } = this.#call;
    return [
      'v=0',
      `o=handset 1 1 IN IP4 ${address}`,
      's=-',
      `c=IN IP4 ${address}`,
      't=0 0',
      `m=audio ${this.#rtp.address().port} RTP/AVP 0 101`,
      'a=rtpmap:0 PCMU/8000',
      'a=rtpmap:101 telephone-event/8000',
      'a=fmtp:101 0-15',
      'a=ptime:20',
      '',
    ].join('\r\n');
  }
}
