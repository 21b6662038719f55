/** So many packets in a row, with nothing new between them, over so much time are another sender's. No jitter that is bearable does that. */
const PACKETS_MIN = 4;
const SPAN_MIN_MS = 100;

/**
 * Tells a sender that has taken another's place from packets that come late. Asterisk hands both senders' sequence numbers on under one
 * SSRC; where the newcomer's begin a little behind the other's, each of its packets looks late, or like a duplicate, until it has
 * caught up. Late packets come together, or between others; a sender's come one by one, in order, at the pace of its audio.
 */
export class NewcomerWatch {
  #nextSequence = -1;
  #count = 0;
  #sinceMs = 0;

  /** A packet in its place has come: nobody has taken over. */
  clear(): void {
    this.#count = 0;
  }

  /** Whether this packet, whose number is behind what was expected, and those before it are a newcomer's. */
  isOne(sequenceNumber: number, arrivalMs: number): boolean {
    if (this.#count === 0 || sequenceNumber !== this.#nextSequence) {
      this.#count = 0;
      this.#sinceMs = arrivalMs;
    }
    this.#count++;
    this.#nextSequence = (sequenceNumber + 1) & 0xffff;
    const isOne = this.#count >= PACKETS_MIN && arrivalMs - this.#sinceMs >= SPAN_MIN_MS;
    if (isOne) this.#count = 0;
    return isOne;
  }
}
