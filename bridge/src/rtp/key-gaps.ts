import type { RtpReceiverStats } from './receiver-stats.ts';

/** The last packet of a telephone event is sent three times (RFC 4733 section 2.5.1.4). */
const KEY_PACKETS_MIN = 3;
/** Shortest interval between packets of one telephone event, ms. */
const KEY_PACKET_MS = 20;
/** Longest key duration that is considered, ms. Longer ones count as this. */
const KEY_MAX_MS = 10_000;
/**
 * Longest time between the gap of a key and Asterisk's DTMF event for it, ms. The two differ
 * because packets after a gap are held for a while.
 */
const WINDOW_MS = 500;

/**
 * Tells a gap in the sequence numbers that a key press leaves from packet loss. Telephone events
 * (RFC 4733) share sequence numbers with the audio, and Asterisk removes them. A gap is a key press
 * if one of two signs is seen:
 * - The missing packets would have lasted longer than the timestamps advanced. Packets of one event
 * all have the same timestamp.
 * - Asterisk reports the end of a key press.
 */
export class KeyGaps {
  readonly #stats: RtpReceiverStats;
  /** The last gap that was counted as loss: when it was seen, and its number of packets. */
  #gapMs = Number.NEGATIVE_INFINITY;
  #gapPackets = 0;
  /** Most packets that the last reported key can have had, and until when its gap is awaited. */
  #keyPackets = 0;
  #keyUntilMs = Number.NEGATIVE_INFINITY;

  /** Corrects `stats.lost`: a gap is counted as lost before its reason is known. */
  constructor(stats: RtpReceiverStats) {
    this.#stats = stats;
  }

  /**
   * Whether the gap of `missing` packets was a key press. `passed`: timestamp units between the
   * audio before and after the gap. `needed`: timestamp units of `missing` packets of audio.
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

  /** Asterisk reports the end of a key press of this duration. */
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
