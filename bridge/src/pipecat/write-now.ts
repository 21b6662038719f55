import type { Socket } from 'node:net';
import koffi from 'koffi';

// As Linux has them.
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const send = koffi.load(null).func('long send(int fd, uintptr_t bytes, size_t length, int flags)');

// Not in Node's documentation: without it all goes through the stream. Gone as soon as the stream is destroyed.
interface WithHandle {
  readonly _handle?: { readonly fd?: number } | null;
}

/** The file descriptor of a stream that is connected, which has the same one to its end; -1: it has none that is known. */
export function descriptorOf(stream: Socket): number {
  return (stream as WithHandle)._handle?.fd ?? -1;
}

/** Where a buffer lies in memory. It stays there, if `allocUnsafeSlow` or an `alloc` of some kB has made it, until it is no more. */
export function addressOf(bytes: Buffer): number {
  return Number(koffi.address(bytes));
}

/**
 * Hands the `length` bytes at an address to the kernel at once; `fd` is the stream's descriptor. Returns how many it took: the stream
 * must get the others, and finds out by itself what is wrong with a connection. Node's own write keeps an object for each and goes
 * through several layers, and to ask for the descriptor and the address each time costs as much again: 1.06 times the CPU of a call.
 */
export function writeNow(stream: Socket, fd: number, address: number, length: number): number {
  // What waits in the stream must not be overtaken; and the descriptor of one that is destroyed may be another's.
  if (fd < 0 || stream.writableLength > 0 || !(stream as WithHandle)._handle) return 0;
  return Math.max(0, send(fd, address, length, MSG_DONTWAIT | MSG_NOSIGNAL));
}
