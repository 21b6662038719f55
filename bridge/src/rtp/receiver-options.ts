/** Makes frames that replace lost packets, from the audio received before them. */
export interface LossConcealment {
  /**
   * Notes the audio `source[start..end)` of a received packet. It is valid during the call only.
   */
  heard(source: Buffer, start: number, end: number): void;
  /**
   * Returns the frame that replaces the next lost packet, valid until the next call. Undefined:
   * silence, until `heard` is called again.
   */
  next(): Buffer | undefined;
  /** Silence follows. The audio before it is not repeated after it. */
  stop(): undefined;
}

/** What a receiver expects, and where its frames go. */
export interface RtpReceiverOptions {
  payloadType: number;
  dtmfPayloadType?: number;
  /** RTP clock rate: timestamp units per second, Hz. */
  clockRate: number;
  /** Timestamp units of one frame of inserted silence. */
  frameSamples: number;
  /** Payload bytes of one frame of inserted silence. */
  frameBytes: number;
  /** The byte value of silence in this encoding. */
  silence: number;
  /** How long a packet is held for a missing one before it, ms. */
  maxReorderMs: number;
  /** Silence is inserted when nothing has arrived for this time, ms (see `tick`). */
  idleMs: number;
  /**
   * How far the caller's timeline may run ahead of the clock, ms. Packets beyond it are dropped and
   * counted as `early`. A network stall of up to this and `idleMs` together loses no audio.
   */
  maxLeadMs: number;
  /** Unset: lost packets are replaced by silence. */
  concealment?: LossConcealment | undefined;
  /**
   * Called with every frame in order, as `source[start..end)`, valid during the call only. A packet
   * is one frame of its own size; silence comes in frames of `frameBytes`. `timestampMs` is the
   * start of the frame on the caller's timeline. It begins at 0 and never decreases.
   */
  onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
}
