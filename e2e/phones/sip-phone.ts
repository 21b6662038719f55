/**
 * A telephone that can send any SIP, over UDP or TCP, for what SIPp's scenarios and the handset
 * cannot: unusual offers and replies, two requests at once, invalid bytes. The test says what is
 * sent, and waits for what comes.
 */
import { randomUUID } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket as TcpSocket } from 'node:net';
import { parseMessage, type SipMessage } from '../sipp/messages.ts';
import { audioLines, replyText, requestText, type SipRequest, sdpText, takeMessage } from '../sipp/text.ts';
import { LOCALHOST, type Ports } from '../stack/ports.ts';
import { RtpEnd } from './rtp-end.ts';

/** Who the telephone is. */
export interface SipPhoneOptions {
  /** It says which provider we are. */
  address: string;
  transport?: 'udp' | 'tcp';
  /** Where it takes requests; left out: a free port. */
  port?: number;
}

/** A message that came. */
export interface SipArrival extends SipMessage {
  /** As it came. */
  readonly text: string;
  /** The sender's port. */
  readonly senderPort: number;
  /** Sends text back on the same way. */
  readonly back: (text: string) => void;
}

/** A call of the telephone: its INVITE, and the final reply. */
export interface SipDialogue {
  readonly invite: SipRequest;
  readonly final: SipArrival;
  readonly status: number;
}

const LIMIT_MS = 10_000;

/**
 * One telephone with one RTP port. It answers received requests with 200, except INVITE and ACK.
 */
export class SipPhone implements AsyncDisposable {
  /** Everything that came, in order. */
  readonly arrivals: SipArrival[] = [];
  readonly rtp: RtpEnd;
  /** Requests for which this is false get no reply. */
  replies: (request: SipArrival) => boolean = () => true;
  readonly #address: string;
  readonly #server: number;
  readonly #tag = randomUUID().slice(0, 8);
  readonly #waiting = new Set<() => void>();
  readonly #taken = new Set<SipArrival>();
  readonly #udp: UdpSocket | undefined;
  readonly #listener: Server | undefined;
  readonly #connections = new Set<TcpSocket>();
  #outward: TcpSocket | undefined;

  private constructor({ address, transport }: SipPhoneOptions, ports: Ports, rtp: RtpEnd) {
    this.#address = address;
    this.#server = ports.sip;
    this.rtp = rtp;
    if (transport === 'tcp') this.#listener = createServer((socket) => this.#connected(socket));
    else this.#udp = createSocket('udp4', (data, { port }) => this.#datagram(data, port));
  }

  /** Opens a telephone on the stack's loopback. */
  static async open(options: SipPhoneOptions, ports: Ports): Promise<SipPhone> {
    const phone = new SipPhone(options, ports, await RtpEnd.open(options.address));
    phone.#udp?.bind(options.port ?? 0, options.address);
    phone.#listener?.listen(options.port ?? 0, options.address);
    const socket = phone.#udp ?? phone.#listener;
    if (socket) await once(socket, 'listening');
    return phone;
  }

  /** Where it takes requests. */
  get port(): number {
    const address = this.#udp?.address() ?? this.#listener?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Its TCP connections of now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** An offer, or an answer, of mu-law to our RTP port. */
  sdp(media: readonly string[] = audioLines(this.rtp.port)): string {
    return sdpText(this.#address, media);
  }

  /** A request to the stack: an INVITE of a plain call unless told otherwise. */
  request(to: string, parts: Partial<SipRequest> = {}): SipRequest {
    const id = randomUUID();
    const transport = this.#udp ? 'UDP' : 'TCP';
    const target = `sip:${to}@${LOCALHOST}:${this.#server}`;
    const contact = `<sip:phone@${this.#address}:${this.port}${this.#udp ? '' : ';transport=tcp'}>`;
    return {
      method: 'INVITE',
      uri: target,
      transport,
      via: `${this.#address}:${this.port}`,
      sequence: 1,
      from: `<sip:+4930555000@${this.#address}>;tag=${id}`,
      to: `<${target}>`,
      contact,
      branch: `z9hG4bK${randomUUID()}`,
      callId: id,
      body: this.sdp(),
      ...parts,
    };
  }

  /** Sends text or bytes as they are. Over TCP on the connection that is open, or on a new one. */
  async write(message: string | Uint8Array): Promise<void> {
    if (this.#udp) return this.#udp.send(message, this.#server, LOCALHOST);
    if (this.#outward === undefined || this.#outward.destroyed) {
      this.#outward = connect({ port: this.#server, host: LOCALHOST, localAddress: this.#address });
      await once(this.#outward, 'connect');
      this.#connected(this.#outward);
    }
    this.#outward.write(message);
  }

  /** Closes every TCP connection; it goes on listening. */
  async disconnect(): Promise<void> {
    const closed = [...this.#connections].map((socket) => once(socket, 'close'));
    for (const socket of this.#connections) socket.end();
    await Promise.all(closed);
  }

  /**
   * Calls, and resolves with the final reply. Sends ACK for a 200 and for a refusal. RTP goes to
   * the address in the answer.
   */
  async call(to: string, parts: Partial<SipRequest> = {}): Promise<SipDialogue> {
    const invite = this.request(to, parts);
    await this.write(requestText(invite));
    return this.answered(invite);
  }

  /** The final reply to a request that was sent, as {@link call} has it. */
  async answered(invite: SipRequest, limitMs = LIMIT_MS): Promise<SipDialogue> {
    const final = await this.next(`the answer to ${invite.method}`, isFinalOf(invite), limitMs);
    const status = final.status ?? 0;
    if (invite.method === 'INVITE') await this.#acknowledge({ invite, final, status });
    const port = /^m=audio (\d+)/m.exec(final.body)?.[1];
    if (status === 200 && port !== undefined) this.rtp.farPort = Number(port);
    return { invite, final, status };
  }

  /** Sends a request within a call and resolves with its final reply. */
  async within(
    { invite, final }: SipDialogue,
    method: string,
    sequence: number,
    parts: Partial<SipRequest> = {},
  ): Promise<SipArrival> {
    const request = { ...this.#following(invite, final), method, sequence, body: '', ...parts };
    await this.write(requestText(request));
    return (await this.answered(request)).final;
  }

  /** Hangs a call up. */
  async hangUp(dialogue: SipDialogue): Promise<void> {
    await this.within(dialogue, 'BYE', dialogue.invite.sequence + 1);
  }

  /** Replies to a request; with a tag of ours, and our Contact. */
  reply(request: SipArrival, statusLine: string, body = '', more: readonly string[] = []): void {
    const contact = `Contact: <sip:phone@${this.#address}:${this.port}${this.#udp ? '' : ';transport=tcp'}>`;
    const isRedirect = more.some((line) => /^contact:/i.test(line));
    const lines = isRedirect ? more : [contact, ...more];
    const port = /^m=audio (\d+)/m.exec(request.body)?.[1];
    if (port !== undefined) this.rtp.farPort = Number(port);
    request.back(replyText(request, statusLine, { tag: this.#tag, more: lines, body }));
  }

  /**
   * The first message that matches and was not taken before, also one that has come already. Throws
   * an Error after `limitMs`.
   */
  async next(what: string, fits: (message: SipArrival) => boolean, limitMs = LIMIT_MS): Promise<SipArrival> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const found = this.arrivals.find((message) => !this.#taken.has(message) && fits(message));
      if (found) {
        this.#taken.add(found);
        return found;
      }
      if (performance.now() >= deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.#arrival(deadline - performance.now());
    }
  }

  /** The next request of a method. */
  nextRequest(method: string, limitMs = LIMIT_MS): Promise<SipArrival> {
    return this.next(method, (message) => message.method === method, limitMs);
  }

  /** Closes its sockets; hangs up nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp?.close();
    for (const socket of this.#connections) socket.destroy();
    this.#listener?.close();
    this.rtp[Symbol.dispose]();
  }

  async #acknowledge({ invite, final, status }: SipDialogue): Promise<void> {
    // A refusal is acknowledged within its transaction (RFC 3261 section 17.1.1.3).
    const parts = status < 300 ? this.#following(invite, final) : { ...invite, to: final.headers.to ?? '' };
    const headers = (invite.headers ?? []).filter((line) => /^(via|from|call-id|route):/i.test(line));
    await this.write(requestText({ ...parts, method: 'ACK', body: '', headers }));
  }

  #following(invite: SipRequest, final: SipArrival): SipRequest {
    const uri = /<([^>]+)>/.exec(final.headers.contact ?? '')?.[1] ?? invite.uri;
    const branch = `z9hG4bK${randomUUID()}`;
    return { ...invite, headers: [], uri, branch, to: final.headers.to ?? invite.to };
  }

  #datagram(data: Buffer, port: number): void {
    this.#arrived(data.toString(), port, (text) => this.#udp?.send(text, port, LOCALHOST));
  }

  #connected(socket: TcpSocket): void {
    this.#connections.add(socket);
    let bytes = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let taken = takeMessage(bytes); taken; taken = takeMessage(bytes)) {
        bytes = Buffer.from(taken.rest);
        this.#arrived(taken.text, socket.remotePort ?? 0, (text) => socket.write(text));
      }
    });
  }

  #arrived(text: string, senderPort: number, back: (text: string) => void): void {
    const message = parseMessage(text, performance.timeOrigin + performance.now(), false);
    const arrival = { ...message, text, senderPort, back };
    this.arrivals.push(arrival);
    const expectsReply = message.method !== undefined && !['INVITE', 'ACK'].includes(message.method);
    if (expectsReply && this.replies(arrival)) back(replyText(message, '200 OK', { tag: this.#tag }));
    for (const wake of this.#waiting) wake();
  }

  #arrival(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    this.#waiting.add(resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    });
  }
}

function isFinalOf({ callId, sequence, method }: SipRequest): (message: SipArrival) => boolean {
  return ({ status = 0, headers }) =>
    status >= 200 && headers['call-id'] === callId && headers.cseq === `${sequence} ${method}`;
}
