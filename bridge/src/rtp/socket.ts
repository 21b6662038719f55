import { DATAGRAMS_MAX, DatagramSocket, Datagrams, ipv4Number } from './datagrams.ts';

// Default limit of recent kernels (net.core.rmem_max). A kernel cuts the size to its own limit.
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Bytes of that buffer for a datagram of 20 ms of G.711 (832 on Linux 6.18, x64). */
const KERNEL_BYTES_PER_DATAGRAM = 1_024;
const DATAGRAMS_PER_SECOND = 50;
/** How long the process may stall without loss of datagrams. */
const STANDSTILL_MS = 400;
/**
 * Datagrams delivered between two calls of `onBusy`. With the messages to the bots that they cause,
 * they take up to 0.5 ms.
 */
const BUSY_DATAGRAMS = 8;
/** Most system calls in one turn of the event loop: 4096 datagrams, 200 ms of 400 calls. */
const RECEIVES_MAX = 64;
/** A G.711 packet has 172 bytes. RTP on Ethernet has at most 1500. */
const RECEIVED_BYTES_MAX = 2_048;
const SENT_BYTES_MAX = 512;

// Shared by all sockets of a thread: each uses it only within its turn of the event loop.
const received = new Datagrams(RECEIVED_BYTES_MAX);

/** Counters of one call's membership in a socket. */
export interface RtpSocketStats {
  datagramsReceived: number;
  datagramsSent: number;
  /** Datagrams that the kernel did not take, for example without a route to the peer. */
  errors: number;
}

/** Notifications of a socket to its owner. */
export interface SocketOwner {
  /** The last call has left: the socket is closed. */
  readonly onIdle: () => void;
  /** Called repeatedly while many datagrams are delivered in one turn of the event loop. */
  readonly onBusy: () => void;
}

/**
 * One UDP socket that several calls share, so that one system call serves many calls. Datagrams are
 * routed to a call by their source address and port. The size of the receive buffer limits the
 * number of calls.
 */
export class SharedSocket {
  readonly address: string;
  /** Most calls that it can carry. */
  readonly capacity: number;
  #refused = 0;
  readonly #socket: DatagramSocket;
  readonly #members = new Set<RtpSocket>();
  /** By address, then by port. */
  readonly #peers = new Map<number, Map<number, RtpSocket>>();
  readonly #outgoing = new Datagrams(SENT_BYTES_MAX);
  readonly #senders: RtpSocket[] = [];
  readonly #owner: SocketOwner;

  /**
   * Opens the socket. `port` 0 takes any free port.
   * @throws the kernel's error, for example with `code` EADDRINUSE: then take another port.
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

  /** Datagrams dropped: from a source that no call expects, or too long to be RTP. */
  get refused(): number {
    return this.#refused;
  }

  get hasRoom(): boolean {
    return this.#members.size < this.capacity;
  }

  /** Adds a member for one more call. */
  join(): RtpSocket {
    const member = new RtpSocket(this);
    this.#members.add(member);
    return member;
  }

  /**
   * For `RtpSocket`. Routes datagrams from address:port to this member. A member that had that
   * source loses it: Asterisk reused the port.
   */
  expect(member: RtpSocket, address: number, port: number): void {
    const ports = this.#peers.get(address) ?? new Map<number, RtpSocket>();
    this.#peers.set(address, ports);
    ports.set(port, member);
  }

  /** For `RtpSocket`. Passes a packet to the kernel before this turn of the event loop ends. */
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

  /**
   * For `RtpSocket`. Removes the member after its packets are sent. The last member closes the
   * socket.
   */
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

  /**
   * Delivers datagrams that have arrived. The number per call is limited; the rest follows next
   * time.
   */
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
      this.#refused++;
      return;
    }
    member.stats.datagramsReceived++;
    member.deliver(datagram, received.arrivedMs(index));
  }

  /** Sends queued packets. Runs at the end of each turn of the event loop without a call. */
  readonly flush = (): void => {
    const outgoing = this.#outgoing;
    for (let sent = 0; sent < outgoing.count; ) {
      const taken = outgoing.send(this.#socket, sent);
      // Skip a datagram that the kernel refuses, so that it does not delay the next ones.
      if (taken === 0) (this.#senders[sent] as RtpSocket).stats.errors++;
      sent += Math.max(1, taken);
    }
    outgoing.count = 0;
  };
}

/** One call's membership in a shared socket. It has one peer and never throws on network errors. */
export class RtpSocket {
  readonly stats: RtpSocketStats = { datagramsReceived: 0, datagramsSent: 0, errors: 0 };
  readonly #shared: SharedSocket;
  #onDatagram: ((datagram: Buffer, arrivedMs: number) => void) | undefined;
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

  /**
   * Sets what is called with each datagram from the peer, valid during the call only, and its
   * arrival time (`performance.now`, ms).
   */
  listen(onDatagram: (datagram: Buffer, arrivedMs: number) => void): void {
    this.#onDatagram = onDatagram;
  }

  /** For `SharedSocket`. A datagram from the peer has arrived. */
  deliver(datagram: Buffer, arrivedMs: number): void {
    this.#onDatagram?.(datagram, arrivedMs);
  }

  /**
   * Sets the peer, an IPv4 address: the only accepted source. Call it once. No effect after
   * `close`.
   */
  connect(address: string, port: number): void {
    if (this.#closed) return;
    this.#peerAddress = ipv4Number(address);
    this.#peerPort = port;
    this.#shared.expect(this, this.#peerAddress, port);
  }

  /** Queues a copy of a packet for sending. No effect before `connect` and after `close`. */
  send(packet: Buffer): void {
    if (this.#peerPort === 0) return;
    this.stats.datagramsSent++;
    this.#shared.send(packet, this, this.#peerAddress, this.#peerPort);
  }

  /** Leaves the socket. The last member frees the port. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onDatagram = undefined;
    this.#shared.leave(this, this.#peerAddress, this.#peerPort);
    this.#peerPort = 0;
  }
}
