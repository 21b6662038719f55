/** What a transport has counted; what it cannot know is 0. */
export interface TransportFigures {
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly lost: number;
  readonly late: number;
  /** Packets dropped since the caller's time would have run ahead of the clock by more than the jitter buffer. */
  readonly early: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly malformed: number;
  /** Frames of silence put in for losses and pauses. */
  readonly filledFrames: number;
  /** Frames put in for losses that repeat what was heard before. */
  readonly concealedFrames: number;
  readonly ssrcChanges: number;
  readonly jitterMs: number;
  readonly longestGapMs: number;
  readonly sendErrors: number;
}

/** Gets a frame of the caller's audio, `source[start..end)`, valid during the call only, and its place in the caller's time. */
export type OnFrame = (source: Buffer, start: number, end: number, timestampMs: number) => void;

/** The way between Asterisk's media channel and the relay: frames of 20 ms, both ways. */
export interface MediaTransport {
  /** Where in a frame's buffer the audio begins, bytes. */
  readonly payloadOffset: number;
  /** From a frame's being sent to its being heard at Asterisk's end, ms. */
  readonly playoutDelayMs: number;
  /** When something last came from Asterisk, on the relay's clock, ms. */
  readonly lastReceivedMs: number;
  /** Whether any audio has come from Asterisk. */
  readonly hasReceived: boolean;
  /** The caller's time begins, with silence until audio comes. */
  begin(nowMs: number): void;
  /** Asterisk heard a key end that was pressed for so long: its packets are not missing. */
  keyHeard(durationMs: number, nowMs: number): void;
  /** The buffer for the next frame: its audio is to be filled in from `payloadOffset` on, then it is sent. */
  frame(): Buffer;
  /** Hands a frame to the network; never waits, never throws. */
  send(frame: Buffer): void;
  /** The grid has moved on by so many frames that were not sent. */
  skip(frames: number): void;
  /** Once a frame: what only time can tell. */
  tick(nowMs: number): void;
  /** What was sent and is not heard yet must not be heard. */
  flush(): void;
  figures(): TransportFigures;
  close(): Promise<void>;
}
