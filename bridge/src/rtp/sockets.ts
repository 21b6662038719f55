import type { PortPool } from './ports.ts';
import { type RtpSocket, SharedSocket } from './socket.ts';

/** Another process may hold a port of the range. Then this many ports are tried. */
const OPEN_TRIES = 8;

/**
 * Interval of receiving: all datagrams that arrived are read at once, because a wake-up costs more
 * than handling a datagram. This delays a caller's frame by at most this time. Node's timers have
 * whole ms.
 */
const RECEIVE_MS = 2;

/** No UDP port of the configured range was available. */
export class NoPortError extends Error {
  override name = 'NoPortError';
  readonly code = 'no-port';
}

/** The UDP sockets of a thread: as few as its calls need. */
export class RtpSockets {
  readonly #ports: PortPool;
  readonly #open = new Set<SharedSocket>();
  readonly #onBusy: () => void;
  #refused = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `onBusy`: see `SocketOwner`. */
  constructor(ports: PortPool, onBusy: () => void) {
    this.#ports = ports;
    this.#onBusy = onBusy;
  }

  /** Datagrams dropped so far: from a source that no call expects, or too long to be RTP. */
  get refused(): number {
    return [...this.#open].reduce((sum, { refused }) => sum + refused, this.#refused);
  }

  /**
   * Adds a call to a socket of `address`.
   * @throws {@link NoPortError}
   */
  join(address: string): RtpSocket {
    for (const socket of this.#open) if (socket.address === address && socket.hasRoom) return socket.join();
    for (let attempt = 0; attempt < OPEN_TRIES; attempt++) {
      const port = this.#ports.take();
      if (port === undefined) throw new NoPortError('all RTP ports are in use');
      try {
        return this.#openSocket(address, port).join();
      } catch {
        this.#ports.release(port);
      }
    }
    throw new NoPortError(`${OPEN_TRIES} RTP ports in a row cannot be opened`);
  }

  #openSocket(address: string, port: number): SharedSocket {
    const socket = new SharedSocket(address, port, {
      onIdle: () => {
        this.#open.delete(socket);
        this.#refused += socket.refused;
        this.#ports.release(port);
        if (this.#open.size > 0) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      },
      onBusy: this.#keepUp,
    });
    this.#open.add(socket);
    this.#timer ??= setInterval(this.#receive, RECEIVE_MS);
    return socket;
  }

  readonly #keepUp = (): void => {
    this.#onBusy();
    // Packets that `onBusy` sent must not wait until the burst is handled.
    for (const socket of this.#open) socket.flush();
  };

  readonly #receive = (): void => {
    for (const socket of this.#open) socket.receive();
  };
}
