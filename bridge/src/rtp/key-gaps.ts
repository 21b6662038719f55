import type { RtpReceiverStats } from './receiver-stats.ts';

/** A key's last packet is sent three times (RFC 4733 section 2.5.1.4). */
const KEY_PACKETS_MIN = 3;
/** Events are repeated every 20 ms at the most. */
const KEY_PACKET_MS = 20;
/** Beyond it a key is told of as if it were this long, ms. */
const KEY_MAX_MS = 10_000;
/** The gap of a key and Asterisk's word of it are no further apart, ms: packets behind a gap are held for a while. */
const WINDOW_MS = 500;

/**
 * Tells the gap that a key leaves in the sequence numbers from a loss: telephone events (RFC 4733) share them with the audio, and Asterisk takes
 * them out. Two signs: the packets that are missing would have lasted longer than the time that passed (a key's last packet is repeated, and
 * its time stands still), or Asterisk says that a key ended.
 */
export class KeyGaps {
  readonly #stats: RtpReceiverStats;
  /** The last gap that was taken for a loss: when it was seen, and how many packets it has. */
  #gapMs = Number.NEGATIVE_INFINITY;
  #gapPackets = 0;
  /** Packets that the last key may have had, and until when its gap is awaited. */
  #keyPackets = 0;
  #keyUntilMs = Number.NEGATIVE_INFINITY;

  /** `stats.lost` is put right here: a gap is counted before it is understood. */
  constructor(stats: RtpReceiverStats) {
    this.#stats = stats;
  }

  /**
   * Whether the gap of `missing` packets was a key. `passed`: time between the audio before and behind it; `needed`: what so many packets of
   * audio would have lasted, in the same units.
   */
  isKey(missing: number, passed: number, needed: number, nowMs: number): boolean {
    const isTooShort = passed >= 0 && passed < needed;
    const isTold = nowMs <= this.#keyUntilMs && missing >= KEY_PACKETS_MIN && missing <= this.#keyPackets;
    if (isTooShort || isTold) {
      this.#forgive(missing);
      if (isTold) this.#keyUntilMs = Number.NEGATIVE_INFINITY;
      return true;
    }
    this.#gapMs = nowMs;
    this.#gapPackets = missing;
    return false;
  }

  /** Asterisk says that a key ended that was held for so long. */
  keyHeard(durationMs: number, nowMs: number): void {
    const ms = Math.min(KEY_MAX_MS, Math.max(0, durationMs));
    const packets = Math.ceil(ms / KEY_PACKET_MS) + KEY_PACKETS_MIN;
    const gap = this.#gapPackets;
    if (nowMs - this.#gapMs <= WINDOW_MS && gap >= KEY_PACKETS_MIN && gap <= packets) {
      this.#forgive(gap);
      this.#gapPackets = 0;
      return;
    }
    this.#keyPackets = packets;
    this.#keyUntilMs = nowMs + WINDOW_MS;
  }

  #forgive(packets: number): void {
    this.#stats.lost = Math.max(0, this.#stats.lost - packets);
  }
}
