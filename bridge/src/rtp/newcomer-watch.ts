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
  #inPlace = -1;
  #sinceMs = 0;

  /**
   * Whether this packet, whose number is behind the expected one, and those before it are a newcomer's. `inPlace`: how many have come that
   * were not behind it; where there is one more than at the packet before, nobody has taken over.
   */
  isOne(sequenceNumber: number, inPlace: number, arrivalMs: number): boolean {
    if (this.#count === 0 || sequenceNumber !== this.#nextSequence || inPlace !== this.#inPlace) {
      this.#count = 0;
      this.#inPlace = inPlace;
      this.#sinceMs = arrivalMs;
    }
    this.#count++;
    this.#nextSequence = (sequenceNumber + 1) & 0xffff;
    const isOne = this.#count >= PACKETS_MIN && arrivalMs - this.#sinceMs >= SPAN_MIN_MS;
    if (isOne) this.#count = 0;
    return isOne;
  }
}
