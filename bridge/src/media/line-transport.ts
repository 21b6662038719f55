/** Counters of a transport. A counter that it does not have is 0. */
export interface TransportFigures {
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly lost: number;
  readonly late: number;
  /** Packets dropped because the caller's timeline would run too far ahead of the clock. */
  readonly early: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly malformed: number;
  /** Frames inserted for losses and pauses. */
  readonly filledFrames: number;
  /** Inserted frames that repeat received audio. */
  readonly concealedFrames: number;
  readonly ssrcChanges: number;
  readonly jitterMs: number;
  readonly longestGapMs: number;
  readonly sendErrors: number;
}

/**
 * Takes a frame of the caller's audio, `source[start..end)`, valid during the call only, and its
 * position on the caller's timeline.
 */
export type OnFrame = (source: Buffer, start: number, end: number, timestampMs: number) => void;

/** Transport between Asterisk's media channel and the relay: 20 ms frames in both directions. */
export interface MediaTransport {
  /** Offset of the audio in a frame's buffer, bytes. */
  readonly payloadOffset: number;
  /** Time from sending a frame until Asterisk plays it, ms. */
  readonly playoutDelayMs: number;
  /** When data last arrived from Asterisk, by the relay's clock, ms. */
  readonly lastReceivedMs: number;
  /** Whether any audio has arrived from Asterisk. */
  readonly hasReceived: boolean;
  /** Begins the caller's timeline, with silence until audio arrives. */
  begin(nowMs: number): void;
  /** Asterisk reports a key press of this duration: its packets are not lost. */
  keyHeard(durationMs: number, nowMs: number): void;
  /**
   * Returns the buffer of the next frame. Write the audio from `payloadOffset` on, then send it.
   */
  frame(): Buffer;
  /** Passes a frame to the network. Never waits or throws. */
  send(frame: Buffer): void;
  /** The grid advanced by `frames` frames that were not sent. */
  skip(frames: number): void;
  /** Call it once per frame: handles what depends on time only. */
  tick(nowMs: number): void;
  /** Drops audio that was sent but not played yet. */
  flush(): void;
  figures(): TransportFigures;
  close(): Promise<void>;
}
