import { timestampDistance } from './packet.ts';

/** Most packets held while an earlier one is missing: more than 60 ms of 5 ms packets. */
export const HOLD_PACKETS = 16;

const NO_PAYLOAD = Buffer.alloc(0);

interface HeldPacket {
  readonly timestamp: number;
  readonly payload: Buffer;
  readonly arrivalMs: number;
}

/**
 * Packets that wait for a missing one before them. Their sequence numbers differ by less than
 * {@link HOLD_PACKETS}, which the receiver ensures. The receiver counts them, so that a packet in
 * order does not come here.
 */
export class HeldPackets {
  /** Indexed by the low bits of the sequence number. */
  readonly #packets: (HeldPacket | undefined)[] = new Array(HOLD_PACKETS).fill(undefined);

  /** Holds a copy of a packet: its datagram is valid during the call only. */
  put(sequenceNumber: number, timestamp: number, payload: Buffer, arrivalMs: number): void {
    const copy = payload.length === 0 ? NO_PAYLOAD : Buffer.from(payload);
    this.#packets[sequenceNumber % HOLD_PACKETS] = { timestamp, payload: copy, arrivalMs };
  }

  /** Whether the packet of this sequence number is held. */
  has(sequenceNumber: number): boolean {
    return this.#packets[sequenceNumber % HOLD_PACKETS] !== undefined;
  }

  /** Removes and returns the packet of this sequence number. Undefined: it is not held. */
  take(sequenceNumber: number): HeldPacket | undefined {
    const place = sequenceNumber % HOLD_PACKETS;
    const packet = this.#packets[place];
    if (packet !== undefined) this.#packets[place] = undefined;
    return packet;
  }

  /**
   * Whether a packet has waited for `maxMs` by the clock, or is `maxUnits` of the timestamp after
   * the expected one.
   */
  isOverdue(nowMs: number, maxMs: number, expectedTimestamp: number, maxUnits: number): boolean {
    for (const packet of this.#packets) {
      if (packet === undefined) continue;
      if (nowMs - packet.arrivalMs >= maxMs) return true;
      if (timestampDistance(packet.timestamp, expectedTimestamp) >= maxUnits) return true;
    }
    return false;
  }
}
