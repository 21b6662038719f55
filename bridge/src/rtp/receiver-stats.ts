/** Counters of one received stream, since the receiver was made. */
export interface RtpReceiverStats {
  /** Packets of the stream, each counted once. Includes late packets and packets without audio. */
  packetsReceived: number;
  /**
   * Packets expected minus received (RFC 3550 appendix A.3). Here duplicates do not reduce it, and
   * telephone events that Asterisk removes are not counted.
   */
  lost: number;
  duplicates: number;
  /** Packets that arrived after they were counted as lost. Their audio is dropped. */
  late: number;
  /** Packets that arrived after a later packet and were put in order. */
  reordered: number;
  malformed: number;
  /** Packets dropped because the caller's timeline would run too far ahead of the clock. */
  early: number;
  /** Single packets with an unrelated sequence number, dropped. */
  strays: number;
  wrongPayloadType: number;
  /** Telephone events (RFC 4733). They carry no audio and are not passed on. */
  dtmfPackets: number;
  ssrcChanges: number;
  /** Restarts of the sender under the same SSRC: its sequence number or timestamp jumped. */
  restarts: number;
  /** Frames inserted for losses and pauses: silence, or repeated audio for concealed losses. */
  filledFrames: number;
  /** Inserted frames that repeat received audio. */
  concealedFrames: number;
  /** Interarrival jitter (RFC 3550 appendix A.8), ms. */
  jitterMs: number;
  /** Longest time between two arrivals, ms. */
  longestGapMs: number;
}

/** Counters of a stream of which nothing was received. */
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
