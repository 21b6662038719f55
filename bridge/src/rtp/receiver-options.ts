/** Makes the frames that stand in for lost packets, of what was heard before them. */
export interface LossConcealment {
  /** The audio `source[start..end)` of a packet, valid during the call only. */
  heard(source: Buffer, start: number, end: number): void;
  /** The frame in the next lost packet's place, valid until the next call; undefined: silence, from now on. */
  next(): Buffer | undefined;
  /** There is silence: nothing of before it is repeated after it. */
  stop(): undefined;
}

/** What a receiver expects and where its frames go. */
export interface RtpReceiverOptions {
  payloadType: number;
  dtmfPayloadType?: number;
  /** Timestamp units a second, Hz. */
  clockRate: number;
  /** Timestamp units of one frame of filled-in silence. */
  frameSamples: number;
  /** Payload bytes of such a frame. */
  frameBytes: number;
  /** The byte that silence is made of. */
  silence: number;
  /** How long a packet may wait for one before it, ms. */
  maxReorderMs: number;
  /** Silence is filled in while it lasts when nothing has arrived for this long, ms (see `tick`). */
  idleMs: number;
  /**
   * How far the caller's time may run ahead of the clock, ms: packets beyond it are dropped (`early`). A stall of the network of up to this
   * and `idleMs` together loses nothing.
   */
  maxLeadMs: number;
  /** Unset: lost packets are replaced by silence. */
  concealment?: LossConcealment | undefined;
  /**
   * Gets every frame in order, as `source[start..end)`, valid during the call only: packets in their own size, silence in
   * frames. `timestampMs` begins at 0 and is the place of the frame in the caller's time; it never goes back.
   */
  onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
}
