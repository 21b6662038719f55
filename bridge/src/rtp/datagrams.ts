import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

/** Datagrams that one system call moves at most. */
export const DATAGRAMS_MAX = 64;

// Node moves one datagram a system call, and makes an object and a buffer for each that arrives: at 400 calls that is a sixth of a core.
// What follows is as Linux has it on 64-bit, little-endian processors.
const AF_INET = 2;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x80802;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/** `struct mmsghdr`: name, its length, vector, its length, control, its length, flags, bytes moved. */
const HEADER = { bytes: 64, nameLength: 8, vector: 16, vectorLength: 24, flags: 48, length: 56 } as const;
/** `struct iovec`: base, length. */
const VECTOR = { bytes: 16, length: 8 } as const;
/** `struct sockaddr_in`: family, then port and address in network byte order. */
const NAME = { bytes: 16, port: 2, address: 4 } as const;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const bind = libc.func('int bind(int fd, void *name, unsigned int bytes)');
const close = libc.func('int close(int fd)');
const recvmmsg = libc.func(
  'int recvmmsg(int fd, void *headers, unsigned int count, int flags, void *timeout)',
);
const sendmmsg = libc.func('int sendmmsg(int fd, void *headers, unsigned int count, int flags)');

/** An IPv4 address as a number, as datagrams have it. */
export function ipv4Number(address: string): number {
  let number = 0;
  for (const octet of address.split('.')) number = (number << 8) | Number(octet);
  return number;
}

/**
 * Opens a bound UDP socket that does not block, and returns its file descriptor, which is the caller's to close.
 * @throws what the kernel says, as for example EADDRINUSE in `code`.
 */
export function openDatagramSocket(address: string, port: number): number {
  const name = Buffer.alloc(NAME.bytes);
  name.writeUInt16LE(AF_INET);
  name.writeUInt16BE(port, NAME.port);
  name.writeInt32BE(ipv4Number(address), NAME.address);
  const fd = checked(socket(AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0));
  try {
    checked(bind(fd, name, NAME.bytes));
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

function checked(result: number): number {
  if (result >= 0) return result;
  const code = getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(code), { code });
}

/** Datagrams on their way from or to the kernel, up to {@link DATAGRAMS_MAX} in one system call (recvmmsg(2), sendmmsg(2)). */
export class Datagrams {
  /** Datagrams in it, those of `receive` or those of `add`. */
  count = 0;
  readonly #bytesEach: number;
  readonly #headers = Buffer.alloc(DATAGRAMS_MAX * HEADER.bytes);
  readonly #vectors = Buffer.alloc(DATAGRAMS_MAX * VECTOR.bytes);
  readonly #names = Buffer.alloc(DATAGRAMS_MAX * NAME.bytes);
  readonly #memory: Buffer;
  /** The last datagram of each place: as a rule the next one is as long. */
  readonly #datagrams: Buffer[] = [];

  /** `bytesEach`: of the longest datagram. */
  constructor(bytesEach: number) {
    this.#bytesEach = bytesEach;
    this.#memory = Buffer.alloc(DATAGRAMS_MAX * bytesEach);
    const [memory, vectors, names] = [this.#memory, this.#vectors, this.#names].map((buffer) =>
      BigInt(koffi.address(buffer)),
    ) as [bigint, bigint, bigint];
    for (let i = 0; i < DATAGRAMS_MAX; i++) {
      const [header, vector, name] = [i * HEADER.bytes, i * VECTOR.bytes, i * NAME.bytes];
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

  /** Takes what waits at a socket. */
  receive(fd: number): void {
    this.count = Math.max(0, recvmmsg(fd, this.#headers, DATAGRAMS_MAX, MSG_DONTWAIT, null));
  }

  /** A datagram received; undefined: it was too long. Valid until the next `receive`. */
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

  /** Where a datagram came from, as `ipv4Number`. */
  sourceAddress(index: number): number {
    return this.#names.readInt32BE(index * NAME.bytes + NAME.address);
  }

  sourcePort(index: number): number {
    return this.#names.readUInt16BE(index * NAME.bytes + NAME.port);
  }

  /** Adds a copy of a datagram that is to be sent. False: it is too long. Not to be called with {@link DATAGRAMS_MAX} in it. */
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

  /** Sends what was added, from a place on. Returns how many the kernel took; 0: it refuses the first of them. */
  send(fd: number, from: number): number {
    const headers = from === 0 ? this.#headers : this.#headers.subarray(from * HEADER.bytes);
    return Math.max(0, sendmmsg(fd, headers, this.count - from, MSG_DONTWAIT));
  }
}
