/** A bad network between a telephone's RTP and Asterisk: loss, reordering and jitter, both ways. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { LOCALHOST } from '../stack/ports.ts';
import type { RtpEnd } from './rtp-end.ts';

/** What happens to a packet. */
export interface Impairment {
  /** Share of packets that are lost, 0 to 1. */
  readonly loss: number;
  /** Each packet is late by up to so much, ms. Over 20 ms packets overtake each other. */
  readonly jitterMs: number;
  /** Share of packets that come twice, 0 to 1. */
  readonly doubled: number;
}

/** Nothing gets through. */
export const NOTHING: Impairment = { loss: 1, jitterMs: 0, doubled: 0 };
/** All gets through as it is. */
export const CLEAN: Impairment = { loss: 0, jitterMs: 0, doubled: 0 };

/** The wire of one call. */
export class LossyWire implements Disposable {
  impairment: Impairment = CLEAN;
  /** Packets that were lost on the way. */
  lost = 0;
  readonly #inner: Socket;
  readonly #outer: Socket;
  readonly #phone: { readonly address: string; readonly port: number };
  #asteriskPort = 0;
  #random: number;

  private constructor(inner: Socket, outer: Socket, phone: { address: string; port: number }, seed: number) {
    this.#inner = inner;
    this.#outer = outer;
    this.#phone = phone;
    this.#random = seed;
    outer.on('message', (data) => this.#pass(() => inner.send(data, phone.port, phone.address)));
    inner.on('message', (data) => this.#pass(() => outer.send(data, this.#asteriskPort, LOCALHOST)));
  }

  /** Opens a wire for a telephone at this address. The same seed loses the same packets. */
  static async open({ port }: RtpEnd, address: string, seed: number): Promise<LossyWire> {
    const sockets = [createSocket('udp4'), createSocket('udp4')] as const;
    for (const socket of sockets) socket.bind(0, address);
    await Promise.all(sockets.map((socket) => once(socket, 'listening')));
    return new LossyWire(...sockets, { address, port }, seed);
  }

  /** Where Asterisk sends: the port that the telephone's SDP names. */
  get port(): number {
    return this.#outer.address().port;
  }

  /** The call is answered: the telephone's RTP takes this way from now on. */
  join(rtp: RtpEnd): void {
    this.#asteriskPort = rtp.farPort;
    rtp.farPort = this.#inner.address().port;
    rtp.farAddress = this.#phone.address;
  }

  [Symbol.dispose](): void {
    this.#inner.close();
    this.#outer.close();
  }

  #pass(send: () => void): void {
    const { loss, jitterMs, doubled } = this.impairment;
    if (this.#next() < loss) {
      this.lost += 1;
      return;
    }
    const times = this.#next() < doubled ? 2 : 1;
    for (let time = 0; time < times; time++) setTimeout(() => this.#try(send), this.#next() * jitterMs);
  }

  /** A packet may come after the end of the call. */
  #try(send: () => void): void {
    try {
      send();
    } catch {
      // The socket is closed.
    }
  }

  /** Between 0 and 1 (a linear congruential generator). */
  #next(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random / 2 ** 32;
  }
}
