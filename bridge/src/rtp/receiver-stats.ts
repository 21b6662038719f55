/** Figures of one received stream, since the receiver was made. */
export interface RtpReceiverStats {
  /** Packets of the stream, each counted once, late ones and those without audio included. */
  packetsReceived: number;
  /**
   * Expected minus received (RFC 3550 appendix A.3; duplicates do not make up for losses here), without the telephone events that Asterisk
   * keeps to itself.
   */
  lost: number;
  duplicates: number;
  /** Arrived after their place had been given up: not heard. */
  late: number;
  /** Arrived after a later packet, and put back in order. */
  reordered: number;
  malformed: number;
  /** Not handed on: the caller's time would have run ahead of the clock by more than is allowed. */
  early: number;
  /** One packet alone with a sequence number from elsewhere: dropped. */
  strays: number;
  wrongPayloadType: number;
  /** Telephone events (RFC 4733): no audio, not handed on. */
  dtmfPackets: number;
  ssrcChanges: number;
  /** The sender began anew under the same SSRC: sequence number or timestamp leapt. */
  restarts: number;
  /** Frames put in for losses and pauses: silence, but for the concealed ones. */
  filledFrames: number;
  /** Of these, frames that repeat what was last heard. */
  concealedFrames: number;
  /** Interarrival jitter (RFC 3550 appendix A.8), ms. */
  jitterMs: number;
  /** Longest time between two arrivals, ms. */
  longestGapMs: number;
}

/** Figures of a stream of which nothing has come. */
export function noReceiverStats(): RtpReceiverStats {
  return {
    packetsReceived: 0,
    lost: 0,
    duplicates: 0,
    late: 0,
    reordered: 0,
    malformed: 0,
    early: 0,
    strays: 0,
    wrongPayloadType: 0,
    dtmfPackets: 0,
    ssrcChanges: 0,
    restarts: 0,
    filledFrames: 0,
    concealedFrames: 0,
    jitterMs: 0,
    longestGapMs: 0,
  };
}
