/**
 * A new sender is assumed after this many consecutive late packets, with no packet on time among
 * them, over this time. Usable streams do not have so much jitter.
 */
const PACKETS_MIN = 4;
const SPAN_MIN_MS = 100;

/**
 * Detects that a new sender has replaced another one under the same SSRC. Asterisk forwards the
 * sequence numbers of both senders under one SSRC. If the numbers of the new sender start a little
 * below those of the old one, each of its packets looks late or like a duplicate. Packets that are
 * really late arrive in bursts, or between others. Packets of a new sender arrive one by one, in
 * order, at the rate of its audio.
 */
export class NewcomerWatch {
  #nextSequence = -1;
  #count = 0;
  #inPlace = -1;
  #sinceMs = 0;

  /**
   * Whether this packet and those before it are from a new sender. Call it for packets whose
   * sequence number is below the expected one. `inPlace`: packets received so far that were not
   * below it; if it has grown since the last call, the old sender is still there.
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
