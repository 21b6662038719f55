import type { Socket } from 'node:net';
import koffi from 'koffi';

// Values of Linux.
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const send = koffi.load(null).func('long send(int fd, uintptr_t bytes, size_t length, int flags)');

// Not in Node's documentation. Without it all data goes through the stream. It is removed as soon
// as the stream is destroyed.
interface WithHandle {
  readonly _handle?: { readonly fd?: number } | null;
}

/** The file descriptor of a connected stream, constant until its end; -1: not known. */
export function descriptorOf(stream: Socket): number {
  return (stream as WithHandle)._handle?.fd ?? -1;
}

/**
 * The address of a buffer in memory. It is constant for the buffer's lifetime if it was made by
 * `allocUnsafeSlow`, or by `alloc` with some kB.
 */
export function addressOf(bytes: Buffer): number {
  return Number(koffi.address(bytes));
}

/**
 * Passes the `length` bytes at an address to the kernel at once. `fd` is the stream's descriptor.
 * Returns the number of bytes taken. Write the others to the stream, which also reports errors of
 * the connection. Node's own write makes an object for each call and passes several layers: 1.04
 * times the CPU time of a call. The caller keeps the descriptor and the address, since reading them
 * each time misses the processor's cache.
 */
export function writeNow(stream: Socket, fd: number, address: number, length: number): number {
  // Queued data must be sent first. The descriptor of a destroyed stream may belong to another.
  if (fd < 0 || stream.writableLength > 0 || !(stream as WithHandle)._handle) return 0;
  return Math.max(0, send(fd, address, length, MSG_DONTWAIT | MSG_NOSIGNAL));
}
