import { DATAGRAMS_MAX, DatagramSocket, Datagrams, ipv4Number } from './datagrams.ts';

// What newer kernels allow by default (net.core.rmem_max). A kernel cuts it to its own limit.
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Of that buffer, for a datagram of 20 ms of G.711 (832 on Linux 6.18, x64). */
const KERNEL_BYTES_PER_DATAGRAM = 1_024;
const DATAGRAMS_PER_SECOND = 50;
/** The process may stand still for so long, and no datagram is lost. */
const STANDSTILL_MS = 400;
/** So many take up to half a millisecond, with the messages to the bots that they become. */
const BUSY_DATAGRAMS = 8;
/** System calls in one turn of the event loop: 4096 datagrams, 200 ms of 400 calls. */
const RECEIVES_MAX = 64;
/** A packet of G.711 has 172 bytes, and RTP on Ethernet never more than 1500. */
const RECEIVED_BYTES_MAX = 2_048;
const SENT_BYTES_MAX = 512;

// All sockets of a thread share it: each is done with it when its turn ends.
const received = new Datagrams(RECEIVED_BYTES_MAX);

/** Counters of one call's place at a socket. */
export interface RtpSocketStats {
  datagramsReceived: number;
  datagramsSent: number;
  /** Not taken by the kernel, as for example without a route to the peer. */
  errors: number;
}

/** What a socket tells its owner. */
export interface SocketOwner {
  /** The last call has left: the socket is closed. */
  readonly onIdle: () => void;
  /** Now and then while many datagrams are delivered in one turn of the event loop. */
  readonly onBusy: () => void;
}

/**
 * One UDP socket that several calls share, each known by the address and port that it hears from: so one system call serves many
 * calls. It carries as many as its receive buffer is good for.
 */
export class SharedSocket {
  readonly address: string;
  /** Calls that it can carry. */
  readonly capacity: number;
  /** Datagrams from somebody that no call expects, or too long to be RTP: dropped. */
  refused = 0;
  readonly #socket: DatagramSocket;
  readonly #members = new Set<RtpSocket>();
  /** By address, then by port. */
  readonly #peers = new Map<number, Map<number, RtpSocket>>();
  readonly #outgoing = new Datagrams(SENT_BYTES_MAX);
  readonly #senders: RtpSocket[] = [];
  readonly #owner: SocketOwner;

  /**
   * Opens it; `port` 0 takes any.
   * @throws what the kernel says, as for example EADDRINUSE in `code`: then take another port.
   */
  constructor(address: string, port: number, owner: SocketOwner) {
    this.address = address;
    this.#owner = owner;
    this.#socket = new DatagramSocket(address, port, RECEIVE_BUFFER_BYTES);
    const waiting = this.#socket.receiveBufferBytes / KERNEL_BYTES_PER_DATAGRAM;
    this.capacity = Math.max(1, Math.floor(waiting / DATAGRAMS_PER_SECOND / (STANDSTILL_MS / 1_000)));
  }

  get port(): number {
    return this.#socket.port;
  }

  get hasRoom(): boolean {
    return this.#members.size < this.capacity;
  }

  /** A place for one more call. */
  join(): RtpSocket {
    const member = new RtpSocket(this);
    this.#members.add(member);
    return member;
  }

  /** For `RtpSocket`: the member's peer. Who had the same one is heard no more: Asterisk has given its port to another call. */
  expect(member: RtpSocket, address: number, port: number): void {
    const ports = this.#peers.get(address) ?? new Map<number, RtpSocket>();
    this.#peers.set(address, ports);
    ports.set(port, member);
  }

  /** For `RtpSocket`: hands a packet to the kernel before this turn of the event loop ends. */
  send(packet: Buffer, member: RtpSocket, address: number, port: number): void {
    const outgoing = this.#outgoing;
    if (!outgoing.add(packet, address, port)) {
      member.stats.errors++;
      return;
    }
    this.#senders[outgoing.count - 1] = member;
    if (outgoing.count === DATAGRAMS_MAX) this.flush();
    else if (outgoing.count === 1) process.nextTick(this.flush);
  }

  /** For `RtpSocket`: the member's packets have left when this returns, and the port is free if it was the last member. */
  leave(member: RtpSocket, address: number, port: number): void {
    this.#members.delete(member);
    const ports = this.#peers.get(address);
    if (ports?.get(port) === member) ports.delete(port);
    if (ports?.size === 0) this.#peers.delete(address);
    this.flush();
    if (this.#members.size > 0) return;
    this.#socket.close();
    this.#owner.onIdle();
  }

  /** Delivers what has arrived; of a flood a part, the rest next time. */
  receive(): void {
    let rounds = 0;
    do {
      received.receive(this.#socket);
      for (let i = 0; i < received.count; i++) {
        this.#deliver(i);
        if (i % BUSY_DATAGRAMS === BUSY_DATAGRAMS - 1) this.#owner.onBusy();
      }
    } while (received.count === DATAGRAMS_MAX && ++rounds < RECEIVES_MAX);
  }

  #deliver(index: number): void {
    const member = this.#peers.get(received.sourceAddress(index))?.get(received.sourcePort(index));
    const datagram = received.datagram(index);
    if (member === undefined || datagram === undefined) {
      this.refused++;
      return;
    }
    member.stats.datagramsReceived++;
    member.onDatagram?.(datagram, received.arrivedMs(index));
  }

  /** Sends what waits: without being asked, at the end of the turn of the event loop. */
  readonly flush = (): void => {
    const outgoing = this.#outgoing;
    for (let sent = 0; sent < outgoing.count; ) {
      const taken = outgoing.send(this.#socket, sent);
      // What the kernel refuses must not hold up what is behind it.
      if (taken === 0) (this.#senders[sent] as RtpSocket).stats.errors++;
      sent += Math.max(1, taken);
    }
    outgoing.count = 0;
  };
}

/** One call's place at a socket. It speaks with one peer only and never throws for what the network does. */
export class RtpSocket {
  /** Called with every datagram of the peer, which is valid during the call only, and when it arrived (`performance.now`, ms). */
  onDatagram: ((datagram: Buffer, arrivedMs: number) => void) | undefined;
  readonly stats: RtpSocketStats = { datagramsReceived: 0, datagramsSent: 0, errors: 0 };
  readonly #shared: SharedSocket;
  #peerAddress = 0;
  #peerPort = 0;
  #closed = false;

  /** For {@link SharedSocket.join}. */
  constructor(shared: SharedSocket) {
    this.#shared = shared;
  }

  get localPort(): number {
    return this.#shared.port;
  }

  /** Sets the peer, an IPv4 address: the only one that is heard. Call once; without effect after `close`. */
  connect(address: string, port: number): void {
    if (this.#closed) return;
    this.#peerAddress = ipv4Number(address);
    this.#peerPort = port;
    this.#shared.expect(this, this.#peerAddress, port);
  }

  /** Copies a packet for the kernel and forgets it. Without effect before `connect` and after `close`. */
  send(packet: Buffer): void {
    if (this.#peerPort === 0) return;
    this.stats.datagramsSent++;
    this.#shared.send(packet, this, this.#peerAddress, this.#peerPort);
  }

  /** Leaves the socket, whose port is free then, if no other call needs it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onDatagram = undefined;
    this.#shared.leave(this, this.#peerAddress, this.#peerPort);
    this.#peerPort = 0;
  }
}
