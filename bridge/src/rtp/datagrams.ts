import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

/** Most datagrams that one system call moves. */
export const DATAGRAMS_MAX = 64;

// Node's own sockets make one system call, one wake-up, one object and one buffer for each
// datagram. With 400 calls that takes a sixth of a core. The constants and layouts below are those
// of Linux on 64-bit, little-endian processors.
const AF_INET = 2;
const SOCK_DGRAM = 2;
const O_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_TIMESTAMPNS = 35;
const CLOCK_REALTIME = 0;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/**
 * `struct mmsghdr`: name, name length, vector, vector length, control, control length, flags, bytes
 * moved.
 */
const HEADER = {
  bytes: 64,
  nameLength: 8,
  vector: 16,
  vectorLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
} as const;
/** `struct iovec`: base, length. */
const VECTOR = { bytes: 16, length: 8 } as const;
/** `struct sockaddr_in`: family, then port and address in network byte order. */
const NAME = { bytes: 16, port: 2, address: 4 } as const;
/** `struct timespec`: seconds, of which the lower 32 bits are enough here, and nanoseconds. */
const TIME = { bytes: 16, nanoseconds: 8 } as const;
/** A control message with the arrival time: its header, then a `struct timespec`. */
const CONTROL = { bytes: 32, time: 16 } as const;
/** No datagram waits longer in a receive buffer. A longer wait means that the clock was set. */
const WAIT_MAX_MS = 2_000;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, void *name, unsigned int bytes)');
const getsockname = libc.func('int getsockname(int fd, void *name, void *bytes)');
const getsockopt = libc.func('int getsockopt(int fd, int level, int option, void *value, void *bytes)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int option, void *value, unsigned int bytes)',
);
const dup3 = libc.func('int dup3(int from, int to, int flags)');
const close = libc.func('int close(int fd)');
const recvmmsg = libc.func(
  'int recvmmsg(int fd, void *headers, unsigned int count, int flags, void *timeout)',
);
const clock_gettime = libc.func('int clock_gettime(int clock, void *time)');
const sendmmsg = libc.func('int sendmmsg(int fd, void *headers, unsigned int count, int flags)');

/** Converts an IPv4 address to a number in the form that datagrams use. */
export function ipv4Number(address: string): number {
  let number = 0;
  for (const octet of address.split('.')) number = (number << 8) | Number(octet);
  return number;
}

/**
 * A bound UDP socket that no event loop watches. It is closed when its thread ends, at the latest.
 */
export class DatagramSocket {
  readonly port: number;
  /** Size of the receive buffer as the kernel reports it, bytes. */
  readonly receiveBufferBytes: number;
  readonly #fd: number;
  #isOpen = true;

  /**
   * Opens the socket. `port` 0 takes any free port. The kernel limits `receiveBufferBytes` to
   * net.core.rmem_max.
   * @throws the kernel's error, for example with `code` EADDRINUSE.
   */
  constructor(address: string, port: number, receiveBufferBytes: number) {
    this.#fd = openTracked(() => checked(socket(AF_INET, SOCK_DGRAM, 0)));
    try {
      const name = Buffer.alloc(NAME.bytes);
      name.writeUInt16LE(AF_INET);
      name.writeUInt16BE(port, NAME.port);
      name.writeInt32BE(ipv4Number(address), NAME.address);
      checked(bind(this.#fd, name, NAME.bytes));
      checked(getsockname(this.#fd, name, int(NAME.bytes)));
      this.port = name.readUInt16BE(NAME.port);
      const size = int(receiveBufferBytes);
      checked(setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, size, size.length));
      checked(getsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, size, int(size.length)));
      this.receiveBufferBytes = size.readInt32LE();
      checked(setsockopt(this.#fd, SOL_SOCKET, SO_TIMESTAMPNS, int(1), 4));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * File descriptor, for `Datagrams`; -1 when closed. A closed descriptor's number may be reused.
   */
  get fd(): number {
    return this.#isOpen ? this.#fd : -1;
  }

  /** Closes the socket and frees the port at once. Idempotent. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#fd);
  }
}

/**
 * Makes a file descriptor known to Node, so that Node closes it when the thread ends. Node tracks
 * only descriptors that were opened through `fs`.
 */
function openTracked(open: () => number): number {
  const fd = openSync(devNull, 'r');
  try {
    const opened = open();
    try {
      checked(dup3(opened, fd, O_CLOEXEC));
    } finally {
      close(opened);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function checked(result: number): number {
  if (result >= 0) return result;
  const code = getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(code), { code });
}

/**
 * A batch of datagrams that are received or sent, up to {@link DATAGRAMS_MAX} in one system call
 * (recvmmsg(2), sendmmsg(2)).
 */
export class Datagrams {
  /** Number of datagrams in the batch: set by `receive`, raised by `add`. */
  count = 0;
  readonly #bytesEach: number;
  readonly #headers = Buffer.alloc(DATAGRAMS_MAX * HEADER.bytes);
  readonly #vectors = Buffer.alloc(DATAGRAMS_MAX * VECTOR.bytes);
  readonly #names = Buffer.alloc(DATAGRAMS_MAX * NAME.bytes);
  readonly #controls = Buffer.alloc(DATAGRAMS_MAX * CONTROL.bytes);
  /** Time of the last `receive`: here by the realtime clock, in `#timeMs` by `performance.now`. */
  readonly #time = Buffer.alloc(TIME.bytes);
  #timeMs = 0;
  readonly #memory: Buffer;
  /** The last datagram of each place. It is reused when the next datagram has the same length. */
  readonly #datagrams: Buffer[] = [];

  /** `bytesEach`: bytes of the longest datagram. */
  constructor(bytesEach: number) {
    this.#bytesEach = bytesEach;
    this.#memory = Buffer.alloc(DATAGRAMS_MAX * bytesEach);
    const [memory, vectors, names, controls] = [this.#memory, this.#vectors, this.#names, this.#controls].map(
      (buffer) => BigInt(koffi.address(buffer)),
    ) as [bigint, bigint, bigint, bigint];
    for (let i = 0; i < DATAGRAMS_MAX; i++) {
      const header = i * HEADER.bytes;
      const vector = i * VECTOR.bytes;
      const name = i * NAME.bytes;
      this.#headers.writeBigUInt64LE(controls + BigInt(i * CONTROL.bytes), header + HEADER.control);
      this.#headers.writeBigUInt64LE(names + BigInt(name), header);
      this.#headers.writeUInt32LE(NAME.bytes, header + HEADER.nameLength);
      this.#headers.writeBigUInt64LE(vectors + BigInt(vector), header + HEADER.vector);
      this.#headers.writeUInt32LE(1, header + HEADER.vectorLength);
      this.#vectors.writeBigUInt64LE(memory + BigInt(i * bytesEach), vector);
      this.#vectors.writeUInt32LE(bytesEach, vector + VECTOR.length);
      this.#names.writeUInt16LE(AF_INET, name);
      this.#datagrams.push(this.#memory.subarray(i * bytesEach, i * bytesEach));
    }
  }

  /** Receives the datagrams that have arrived at a socket. */
  receive({ fd }: DatagramSocket): void {
    const headers = this.#headers;
    // The kernel has overwritten this field with the bytes that it used.
    for (let i = 0; i < DATAGRAMS_MAX; i++)
      headers.writeUInt32LE(CONTROL.bytes, i * HEADER.bytes + HEADER.controlLength);
    this.count = Math.max(0, recvmmsg(fd, headers, DATAGRAMS_MAX, MSG_DONTWAIT, null));
    clock_gettime(CLOCK_REALTIME, this.#time);
    this.#timeMs = performance.now();
  }

  /** A received datagram, or undefined if it was too long. Valid until the next `receive`. */
  datagram(index: number): Buffer | undefined {
    const header = index * HEADER.bytes;
    if ((this.#headers.readUInt32LE(header + HEADER.flags) & MSG_TRUNC) !== 0) return undefined;
    const length = this.#headers.readUInt32LE(header + HEADER.length);
    const datagram = this.#datagrams[index] as Buffer;
    if (datagram.length === length) return datagram;
    const start = index * this.#bytesEach;
    const other = this.#memory.subarray(start, start + length);
    this.#datagrams[index] = other;
    return other;
  }

  /**
   * When the kernel received a datagram, by `performance.now`, ms. Does not depend on when it was
   * read.
   */
  arrivedMs(index: number): number {
    if (this.#headers.readUInt32LE(index * HEADER.bytes + HEADER.controlLength) === 0) return this.#timeMs;
    const at = index * CONTROL.bytes + CONTROL.time;
    const seconds = this.#time.readUInt32LE() - this.#controls.readUInt32LE(at);
    const nanoseconds =
      this.#time.readUInt32LE(TIME.nanoseconds) - this.#controls.readUInt32LE(at + TIME.nanoseconds);
    const waitedMs = seconds * 1e3 + nanoseconds / 1e6;
    return waitedMs > 0 && waitedMs < WAIT_MAX_MS ? this.#timeMs - waitedMs : this.#timeMs;
  }

  /** Source address of a received datagram, as returned by `ipv4Number`. */
  sourceAddress(index: number): number {
    return this.#names.readInt32BE(index * NAME.bytes + NAME.address);
  }

  sourcePort(index: number): number {
    return this.#names.readUInt16BE(index * NAME.bytes + NAME.port);
  }

  /**
   * Adds a copy of a datagram to send. Returns false if it is too long. Do not call it when `count`
   * is {@link DATAGRAMS_MAX}.
   */
  add(datagram: Buffer, address: number, port: number): boolean {
    const { length } = datagram;
    if (length > this.#bytesEach) return false;
    const index = this.count++;
    datagram.copy(this.#memory, index * this.#bytesEach);
    this.#vectors.writeUInt32LE(length, index * VECTOR.bytes + VECTOR.length);
    this.#names.writeUInt16BE(port, index * NAME.bytes + NAME.port);
    this.#names.writeInt32BE(address, index * NAME.bytes + NAME.address);
    return true;
  }

  /**
   * Sends the added datagrams from index `from` on. Returns how many the kernel took; 0: it refused
   * the first one.
   */
  send({ fd }: DatagramSocket, from: number): number {
    const headers = from === 0 ? this.#headers : this.#headers.subarray(from * HEADER.bytes);
    return Math.max(0, sendmmsg(fd, headers, this.count - from, MSG_DONTWAIT));
  }
}
