import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

// Takes some 200 packets (4 s of one call) while the process is busy; the kernel cuts it to its own limit.
const RECEIVE_BUFFER_BYTES = 256 * 1024;

/** Counters of one socket, since it was opened. */
export interface RtpSocketStats {
  datagramsReceived: number;
  datagramsSent: number;
  /** From somebody else than the peer, or before the peer was known: dropped. */
  datagramsRefused: number;
  /** Errors of the network (such as ECONNREFUSED when the peer has closed its port), by the kernel's report. */
  errors: number;
}

/**
 * Opens a UDP socket for one call.
 * @throws what the kernel says, as for example EADDRINUSE: then take another port.
 */
export function openRtpSocket(local: { address: string; port: number }): Promise<RtpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: 'udp4',
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      // Addresses only, no names: without this even they take a turn of the event loop, in which a socket may be closed.
      lookup: (address, _options, callback) => callback(null, address, 4),
    });
    const fail = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', fail);
    socket.bind({ address: local.address, port: local.port, exclusive: true }, () => {
      socket.off('error', fail);
      resolve(new RtpSocket(socket));
    });
  });
}

/** One call's UDP socket. It speaks with one peer only and never throws for what the network does. */
export class RtpSocket {
  /** Called with every datagram of the peer. The buffer belongs to the callee. */
  onDatagram: ((datagram: Buffer) => void) | undefined;
  readonly localPort: number;
  readonly stats: RtpSocketStats = { datagramsReceived: 0, datagramsSent: 0, datagramsRefused: 0, errors: 0 };
  readonly #socket: Socket;
  #peerAddress = '';
  #peerPort = 0;
  #connected = false;
  #closed: Promise<void> | undefined;

  /** For `openRtpSocket`, which passes a bound socket. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.localPort = socket.address().port;
    socket.on('message', (datagram, source) => this.#receive(datagram, source));
    socket.on('error', () => {
      this.stats.errors++;
    });
  }

  /** Sets the peer, an IPv4 address: from now on the kernel drops what others send. Call once. Rejects when there is no route. */
  async connect(address: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.connect(port, address, (error?: Error) => (error ? reject(error) : resolve()));
    });
    this.#peerAddress = address;
    this.#peerPort = port;
    this.#connected = this.#closed === undefined;
  }

  /** Hands a packet to the kernel and forgets it. Without effect before `connect` and after `close`. */
  send(packet: Buffer): void {
    if (!this.#connected) return;
    this.stats.datagramsSent++;
    this.#socket.send(packet);
  }

  /** Closes the socket; resolves when its port is free. May be called again. */
  close(): Promise<void> {
    this.#connected = false;
    this.onDatagram = undefined;
    this.#closed ??= new Promise((resolve) => this.#socket.close(resolve));
    return this.#closed;
  }

  #receive(datagram: Buffer, source: RemoteInfo): void {
    // The kernel filters from `connect` on, but what arrived before may still be in its buffer.
    if (source.port !== this.#peerPort || source.address !== this.#peerAddress) {
      this.stats.datagramsRefused++;
      return;
    }
    this.stats.datagramsReceived++;
    this.onDatagram?.(datagram);
  }
}
