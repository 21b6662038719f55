import { Concealment, type Fade } from './concealment.ts';
import { createRtpHeader, parseRtpHeader, sequenceDistance, timestampDistance } from './packet.ts';

// RFC 3550 appendix A.1: how far a sequence number may leap before it means that the sender began anew.
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 100;
// Sequence numbers remembered to know a duplicate from a late packet; more than MAX_MISORDER.
const HISTORY = 128;
// Packets held while one before them is missing: 60 ms of 5 ms packets, and some.
const HOLD_PACKETS = 16;
// A timestamp that leaps further than this is a new beginning, not a pause to be filled.
const MAX_FILL_MS = 2000;
/** Figures of one received stream, since the receiver was made. */
export interface RtpReceiverStats {
  /** Packets of the stream, each counted once, late ones and those without audio included. */
  packetsReceived: number;
  /** Expected minus received (RFC 3550 appendix A.3; duplicates do not make up for losses here). */
  lost: number;
  duplicates: number;
  /** Arrived after their place had been given up: not heard. */
  late: number;
  /** Arrived after a later packet, and put back in order. */
  reordered: number;
  malformed: number;
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
  /** Given: lost packets are concealed by repeating what was last heard with a fade, else by silence. */
  fade?: Fade;
  /**
   * Gets every frame in order, as `source[start..end)`, valid during the call only: packets in their own size, silence in
   * frames. `timestampMs` begins at 0 and is the place of the frame in the caller's time; it never goes back.
   */
  onFrame: (source: Buffer, start: number, end: number, timestampMs: number) => void;
}

interface HeldPacket {
  sequenceNumber: number;
  timestamp: number;
  payload: Buffer;
  arrivalMs: number;
}

const NO_PAYLOAD = Buffer.alloc(0);

/** Turns the datagrams of one source into frames of audio in order, without gaps in time, and keeps its figures. */
export class RtpReceiver {
  readonly stats: RtpReceiverStats = {
    packetsReceived: 0,
    lost: 0,
    duplicates: 0,
    late: 0,
    reordered: 0,
    malformed: 0,
    wrongPayloadType: 0,
    dtmfPackets: 0,
    ssrcChanges: 0,
    restarts: 0,
    filledFrames: 0,
    concealedFrames: 0,
    jitterMs: 0,
    longestGapMs: 0,
  };
  readonly #options: RtpReceiverOptions;
  readonly #header = createRtpHeader();
  readonly #silentFrame: Buffer;
  readonly #concealment: Concealment | undefined;
  readonly #unitsPerMs: number;
  readonly #unitsPerByte: number;
  readonly #bytesPerSample: number;
  /** Sequence numbers received, by their low bits; -1: none. */
  readonly #seen = new Int32Array(HISTORY).fill(-1);
  /** Packets that wait for one before them, by the low bits of their sequence number. */
  readonly #held: (HeldPacket | undefined)[] = new Array(HOLD_PACKETS).fill(undefined);
  #heldCount = 0;
  #started = false;
  #ssrc = 0;
  #expectedSequence = 0;
  #highestSequence = 0;
  #expectedTimestamp = 0;
  /** Packets given up since the last one handed on. */
  #missing = 0;
  #lastPacketUnits = 0;
  /** True until the first frame after a new beginning has said where its timestamps are. */
  #unanchored = true;
  /** The sequence number that would prove a restart; -1: none is suspected. */
  #restartSequence = -1;
  /** Where the next frame lies in the caller's time, timestamp units. */
  #position = 0;
  #firstArrivalMs = 0;
  #lastArrivalMs = 0;
  #jitterArrivalMs = Number.NaN;
  #jitterTimestamp = 0;

  constructor(options: RtpReceiverOptions) {
    this.#options = options;
    this.#silentFrame = Buffer.alloc(options.frameBytes, options.silence);
    if (options.fade !== undefined) this.#concealment = new Concealment(options.fade, this.#silentFrame);
    this.#unitsPerMs = options.clockRate / 1000;
    this.#unitsPerByte = options.frameSamples / options.frameBytes;
    this.#bytesPerSample = options.frameBytes / options.frameSamples;
  }

  /** Takes one datagram, valid during the call only, that arrived at `arrivalMs` (any monotonic clock). Never throws for what is in it. */
  push(datagram: Buffer, arrivalMs: number): void {
    const header = this.#header;
    const { stats } = this;
    if (parseRtpHeader(datagram, header) !== undefined) {
      stats.malformed++;
      return;
    }
    const isAudio = header.payloadType === this.#options.payloadType;
    if (!isAudio) {
      if (header.payloadType === this.#options.dtmfPayloadType) stats.dtmfPackets++;
      else stats.wrongPayloadType++;
      // It has a place in the sequence but no word in where a stream begins.
      if (!this.#started || header.ssrc !== this.#ssrc) return;
    }
    if (!this.#started) this.#begin(arrivalMs);
    else if (header.ssrc !== this.#ssrc) {
      stats.ssrcChanges++;
      this.#resync(arrivalMs);
    }

    let ahead = sequenceDistance(header.sequenceNumber, this.#expectedSequence);
    if (ahead >= MAX_DROPOUT || ahead < -MAX_MISORDER) {
      // One stray packet must not upset the stream; two in a row are a restart (RFC 3550 appendix A.1).
      if (header.sequenceNumber !== this.#restartSequence) {
        this.#restartSequence = (header.sequenceNumber + 1) & 0xffff;
        return;
      }
      stats.restarts++;
      this.#resync(arrivalMs);
      ahead = 0;
    }
    this.#restartSequence = -1;
    if (this.#isDuplicate(header.sequenceNumber)) {
      stats.duplicates++;
      return;
    }
    this.#countArrival(arrivalMs, isAudio);
    if (ahead < 0) {
      stats.late++;
      // It had been counted as lost, unless it is from before the first packet.
      if (stats.lost > 0) stats.lost--;
      return;
    }
    const end = isAudio ? header.payloadOffset + header.payloadLength : header.payloadOffset;
    if (sequenceDistance(header.sequenceNumber, this.#highestSequence) < 0) stats.reordered++;
    else this.#highestSequence = header.sequenceNumber;
    if (ahead === 0) {
      this.#deliver(header.timestamp, datagram, header.payloadOffset, end);
      this.#releaseHeld();
    } else {
      this.#hold(ahead, datagram.subarray(header.payloadOffset, end), arrivalMs);
    }
    if (this.#heldCount > 0) this.#giveUpMissing(arrivalMs);
  }

  /**
   * What the stream's own packets cannot tell: call it about once a frame. Releases packets whose predecessor has not
   * come in time, and fills in silence while a sender that suppresses it, or the network, is quiet.
   */
  tick(nowMs: number): void {
    if (!this.#started) return;
    if (this.#heldCount > 0) this.#giveUpMissing(nowMs);
    if (nowMs - this.#lastArrivalMs < this.#options.idleMs) return;
    // Stay behind real time by the idle limit, so that packets delayed by less lose nothing.
    const dueUnits = (nowMs - this.#options.idleMs - this.#firstArrivalMs) * this.#unitsPerMs;
    const frames = Math.floor((dueUnits - this.#position) / this.#options.frameSamples);
    if (frames > 0)
      this.#fill(Math.min(frames, (MAX_FILL_MS * this.#unitsPerMs) / this.#options.frameSamples), 0);
  }

  /** Hands on all that is held: at the end of a call. */
  flush(): void {
    while (this.#heldCount > 0) this.#skipMissing();
  }

  #begin(arrivalMs: number): void {
    this.#started = true;
    this.#firstArrivalMs = arrivalMs;
    this.#lastArrivalMs = arrivalMs;
    this.#resync(arrivalMs);
  }

  /** Begins anew with the packet in `#header`: its numbers have nothing to do with those before. */
  #resync(arrivalMs: number): void {
    this.flush();
    this.#ssrc = this.#header.ssrc;
    this.#expectedSequence = this.#header.sequenceNumber;
    this.#highestSequence = this.#header.sequenceNumber;
    this.#restartSequence = -1;
    this.#seen.fill(-1);
    this.#jitterArrivalMs = Number.NaN;
    this.#unanchored = true;
    this.#missing = 0;
    this.#followClock(arrivalMs);
  }

  /** Where timestamps do not tell, the caller's time goes on by the clock. */
  #followClock(arrivalMs: number): void {
    this.#position = Math.max(
      this.#position,
      Math.round((arrivalMs - this.#firstArrivalMs) * this.#unitsPerMs),
    );
  }

  #isDuplicate(sequenceNumber: number): boolean {
    const place = sequenceNumber % HISTORY;
    if (this.#seen[place] === sequenceNumber) return true;
    this.#seen[place] = sequenceNumber;
    return false;
  }

  #countArrival(arrivalMs: number, isAudio: boolean): void {
    const { stats } = this;
    stats.packetsReceived++;
    stats.longestGapMs = Math.max(stats.longestGapMs, arrivalMs - this.#lastArrivalMs);
    this.#lastArrivalMs = arrivalMs;
    if (!isAudio) return;
    const { timestamp } = this.#header;
    const transitMs =
      arrivalMs -
      this.#jitterArrivalMs -
      timestampDistance(timestamp, this.#jitterTimestamp) / this.#unitsPerMs;
    // NaN at a new beginning; and a leap of the timestamp is no jitter.
    if (Math.abs(transitMs) < MAX_FILL_MS) stats.jitterMs += (Math.abs(transitMs) - stats.jitterMs) / 16;
    this.#jitterArrivalMs = arrivalMs;
    this.#jitterTimestamp = timestamp;
  }

  #hold(ahead: number, payload: Buffer, arrivalMs: number): void {
    const { sequenceNumber, timestamp } = this.#header;
    while (ahead >= HOLD_PACKETS && this.#heldCount > 0) {
      this.#skipMissing();
      ahead = sequenceDistance(sequenceNumber, this.#expectedSequence);
    }
    if (ahead >= HOLD_PACKETS || ahead === 0) {
      this.stats.lost += ahead;
      this.#missing += ahead;
      this.#expectedSequence = sequenceNumber;
      this.#deliver(timestamp, payload, 0, payload.length);
      this.#releaseHeld();
      return;
    }
    const copy = payload.length === 0 ? NO_PAYLOAD : Buffer.from(payload);
    this.#held[sequenceNumber % HOLD_PACKETS] = { sequenceNumber, timestamp, payload: copy, arrivalMs };
    this.#heldCount++;
  }

  /** Gives a missing packet up when one has waited too long for it, by the clock or by the audio behind it. */
  #giveUpMissing(nowMs: number): void {
    const { maxReorderMs } = this.#options;
    while (this.#heldCount > 0) {
      let longestWaitMs = 0;
      let audioUnits = 0;
      for (const packet of this.#held) {
        if (packet === undefined) continue;
        longestWaitMs = Math.max(longestWaitMs, nowMs - packet.arrivalMs);
        audioUnits = Math.max(audioUnits, timestampDistance(packet.timestamp, this.#expectedTimestamp));
      }
      if (longestWaitMs < maxReorderMs && audioUnits < maxReorderMs * this.#unitsPerMs) return;
      this.#skipMissing();
    }
  }

  /** Counts what is missing before the first held packet as lost, and releases that packet and its successors. */
  #skipMissing(): void {
    while (this.#held[this.#expectedSequence % HOLD_PACKETS] === undefined) {
      this.stats.lost++;
      this.#missing++;
      this.#expectedSequence = (this.#expectedSequence + 1) & 0xffff;
    }
    this.#releaseHeld();
  }

  #releaseHeld(): void {
    while (this.#heldCount > 0) {
      const place = this.#expectedSequence % HOLD_PACKETS;
      const packet = this.#held[place];
      if (packet === undefined) return;
      this.#held[place] = undefined;
      this.#heldCount--;
      this.#deliver(packet.timestamp, packet.payload, 0, packet.payload.length);
    }
  }

  /** Hands the packet that is next in order on, after what fills the time that is missing before it. */
  #deliver(timestamp: number, source: Buffer, start: number, packetEnd: number): void {
    this.#expectedSequence = (this.#expectedSequence + 1) & 0xffff;
    // Half a sample at the end would shift what follows.
    const end = packetEnd - ((packetEnd - start) % this.#bytesPerSample);
    // Telephone events stand still in time, and an empty packet takes none.
    if (end === start) return;
    const gap = this.#unanchored ? 0 : timestampDistance(timestamp, this.#expectedTimestamp);
    this.#unanchored = false;
    if (Math.abs(gap) > MAX_FILL_MS * this.#unitsPerMs) {
      this.stats.restarts++;
      this.#followClock(this.#lastArrivalMs);
    } else if (gap > 0) {
      // Part of a frame is time only: whoever listens gets no odd scraps.
      const frames = Math.floor(gap / this.#options.frameSamples);
      this.#fill(frames, (this.#missing * this.#lastPacketUnits) / this.#options.frameSamples);
      this.#position += gap - frames * this.#options.frameSamples;
    }
    const units = (end - start) * this.#unitsPerByte;
    this.#expectedTimestamp = (timestamp + units) >>> 0;
    this.#missing = 0;
    this.#lastPacketUnits = units;
    this.#concealment?.heard(source, start, end);
    this.#emit(source, start, end, units);
  }

  /** Fills time; of its frames the first `lost` are a loss, the others a pause of the sender's own. */
  #fill(frames: number, lost: number): void {
    const { frameSamples } = this.#options;
    this.stats.filledFrames += frames;
    for (let i = 0; i < frames; i++) {
      this.#expectedTimestamp = (this.#expectedTimestamp + frameSamples) >>> 0;
      const repeated = i < lost ? this.#concealment?.next() : this.#concealment?.stop();
      if (repeated !== undefined) this.stats.concealedFrames++;
      const frame = repeated ?? this.#silentFrame;
      this.#emit(frame, 0, frame.length, frameSamples);
    }
  }

  #emit(source: Buffer, start: number, end: number, units: number): void {
    const timestampMs = Math.round(this.#position / this.#unitsPerMs);
    this.#position += units;
    this.#options.onFrame(source, start, end, timestampMs);
  }
}
