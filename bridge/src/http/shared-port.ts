import type { Server } from 'node:net';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

// Values of Linux (socket(7)).
const SOL_SOCKET = 1;
const SO_REUSEPORT = 15;
const SO_ATTACH_REUSEPORT_CBPF = 51;
/** `BPF_RET | BPF_K`: the program returns a constant. */
const BPF_RETURN = 0x06;
/** `struct sock_filter`: code, two jumps, constant. */
const INSTRUCTION = { bytes: 8, constant: 4 } as const;
/** `struct sock_fprog`: number of instructions, their address. */
const PROGRAM = { bytes: 16, address: 8 } as const;

const setsockopt = koffi
  .load(null)
  .func('int setsockopt(int fd, int level, int option, void *value, unsigned int bytes)');

/**
 * Lets another process of the same user listen on the server's port too, or no longer. Without it
 * the port is exclusive: a second bridge that has it by mistake fails. Throws the kernel's error.
 */
export function sharePort(server: Server, isShared: boolean): void {
  const value = Buffer.alloc(4);
  value.writeInt32LE(Number(isShared));
  set(server, SO_REUSEPORT, value);
}

/**
 * Sends all new connections of a shared port to this server, the second one that listens there.
 * Without it the kernel sends each to any of the two, and resets those that wait when one closes.
 * Throws the kernel's error.
 */
export function takeConnections(server: Server): void {
  // Slow: such a buffer has a constant address.
  const instruction = Buffer.allocUnsafeSlow(INSTRUCTION.bytes).fill(0);
  instruction.writeUInt16LE(BPF_RETURN);
  // The place in the list of listeners. If there is no such place, the kernel takes any of them.
  instruction.writeUInt32LE(1, INSTRUCTION.constant);
  const program = Buffer.alloc(PROGRAM.bytes);
  program.writeUInt16LE(1);
  program.writeBigUInt64LE(BigInt(koffi.address(instruction)), PROGRAM.address);
  set(server, SO_ATTACH_REUSEPORT_CBPF, program);
}

// Not in Node's documentation.
interface WithHandle {
  readonly _handle?: { readonly fd?: number } | null;
}

function set(server: Server, option: number, value: Buffer): void {
  const fd = (server as WithHandle)._handle?.fd ?? -1;
  if (setsockopt(fd, SOL_SOCKET, option, value, value.length) === 0) return;
  const code = getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(`setsockopt ${code}`), { code });
}
