import { KeyGaps } from './key-gaps.ts';
import { NewcomerWatch } from './newcomer-watch.ts';
import { createRtpHeader, parseRtpHeader, sequenceDistance, timestampDistance } from './packet.ts';
import type { LossConcealment, RtpReceiverOptions } from './receiver-options.ts';
import { noReceiverStats, type RtpReceiverStats } from './receiver-stats.ts';

// RFC 3550 appendix A.1: how far a sequence number may leap before it means that the sender began anew.
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 100;
// Sequence numbers remembered to know a duplicate from a late packet; more than MAX_MISORDER.
const HISTORY = 128;
// Packets held while one before them is missing: 60 ms of 5 ms packets, and some.
const HOLD_PACKETS = 16;
// A timestamp that leaps further than this is a new beginning, not a pause to be filled.
const MAX_FILL_MS = 2000;
// The least that a packet counts for: 400 a second are taken of a sender, however little audio each of them has.
const MIN_PACKET_MS = 2.5;
interface HeldPacket {
  sequenceNumber: number;
  timestamp: number;
  payload: Buffer;
  arrivalMs: number;
}

const NO_PAYLOAD = Buffer.alloc(0);
/** All receivers of a thread share it: each is done with it when its `push` returns. So it stays in the processor's cache. */
const header = createRtpHeader();

/** Turns the datagrams of one source into frames of audio in order, without gaps in time, and keeps its figures. */
export class RtpReceiver {
  readonly stats: RtpReceiverStats = noReceiverStats();
  readonly #options: RtpReceiverOptions;
  readonly #silentFrame: Buffer;
  readonly #concealment: LossConcealment | undefined;
  readonly #unitsPerMs: number;
  readonly #unitsPerByte: number;
  readonly #leadUnits: number;
  readonly #minUnits: number;
  readonly #bytesPerSample: number;
  /** Sequence numbers received, by their low bits; -1: none. */
  readonly #seen = new Int32Array(HISTORY).fill(-1);
  /** Packets that wait for one before them, by the low bits of their sequence number. */
  readonly #held: (HeldPacket | undefined)[] = new Array(HOLD_PACKETS).fill(undefined);
  #heldCount = 0;
  /** Whether the caller's time runs, and whether a packet has come. */
  #clockRuns = false;
  #started = false;
  /** As a signed integer of 32 bits, like the timestamps: V8 keeps these in the object itself. */
  #ssrc = 0;
  #expectedSequence = 0;
  #highestSequence = 0;
  #expectedTimestamp = 0;
  /** Put in since the last packet with audio, timestamp units. */
  #filledUnits = 0;
  readonly #keys: KeyGaps;
  readonly #newcomers = new NewcomerWatch();
  /** Packets given up since the last one handed on. */
  #missing = 0;
  #lastPacketUnits = 0;
  /** True until the first frame after a new beginning has said where its timestamps are. */
  #unanchored = true;
  /** The sequence number that would prove a restart; -1: none is suspected. */
  #restartSequence = -1;
  /** Where the next frame lies in the caller's time, timestamp units. */
  #position = 0;
  /** What small packets count for, timestamp units. */
  #pace = 0;
  #originMs = 0;
  #nowMs = Number.NEGATIVE_INFINITY;
  #lastArrivalMs = 0;
  #jitterArrivalMs = Number.NaN;
  #jitterTimestamp = 0;

  constructor(options: RtpReceiverOptions) {
    this.#options = options;
    this.#silentFrame = Buffer.alloc(options.frameBytes, options.silence);
    this.#concealment = options.concealment;
    this.#unitsPerMs = options.clockRate / 1000;
    this.#leadUnits = options.maxLeadMs * this.#unitsPerMs;
    this.#minUnits = MIN_PACKET_MS * this.#unitsPerMs;
    this.#unitsPerByte = options.frameSamples / options.frameBytes;
    this.#bytesPerSample = options.frameBytes / options.frameSamples;
    this.#keys = new KeyGaps(this.stats);
  }

  /** The caller's time begins, with silence until a packet comes; without it the first packet begins it. */
  begin(nowMs: number): void {
    if (this.#clockRuns) return;
    this.#clockRuns = true;
    this.#originMs = nowMs;
    this.#lastArrivalMs = nowMs;
    this.#setClock(nowMs);
  }

  /** Asterisk has heard a telephone event of so many ms end, whose packets it keeps to itself. */
  keyHeard(durationMs: number, nowMs: number): void {
    this.#keys.keyHeard(durationMs, nowMs);
  }

  /** Takes one datagram, valid during the call only, that arrived at `arrivalMs` (any monotonic clock). Never throws for what is in it. */
  push(datagram: Buffer, arrivalMs: number): void {
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
      if (!this.#started || (header.ssrc | 0) !== this.#ssrc) return;
    }
    this.#setClock(arrivalMs);
    if (!this.#started) this.#start(arrivalMs);
    else if ((header.ssrc | 0) !== this.#ssrc) {
      stats.ssrcChanges++;
      this.#resync();
    }

    let ahead = sequenceDistance(header.sequenceNumber, this.#expectedSequence);
    if (ahead >= MAX_DROPOUT || ahead < -MAX_MISORDER) {
      // One stray packet must not upset the stream; two in a row are a restart (RFC 3550 appendix A.1).
      if (header.sequenceNumber !== this.#restartSequence) {
        this.#restartSequence = (header.sequenceNumber + 1) & 0xffff;
        stats.strays++;
        return;
      }
      stats.restarts++;
      this.#resync();
      ahead = 0;
    }
    this.#restartSequence = -1;
    if (ahead < 0 && this.#newcomers.isOne(header.sequenceNumber, this.#inPlace, arrivalMs)) {
      stats.restarts++;
      this.#resync();
      ahead = 0;
    }
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
    if (!this.#clockRuns) return;
    if (this.#heldCount > 0) {
      this.#setClock(nowMs);
      this.#giveUpMissing(nowMs);
    }
    // Before the first packet none can be delayed; later, stay behind the clock so that packets delayed by less than the idle limit lose nothing.
    const behindMs = this.#started ? this.#options.idleMs : 0;
    if (nowMs - this.#lastArrivalMs < behindMs) return;
    this.#setClock(nowMs);
    const dueUnits = (nowMs - behindMs - this.#originMs) * this.#unitsPerMs;
    const frames = Math.floor((dueUnits - this.#position) / this.#options.frameSamples);
    if (frames > 0)
      this.#fill(Math.min(frames, (MAX_FILL_MS * this.#unitsPerMs) / this.#options.frameSamples), 0);
  }

  /** Hands on all that is held: at the end of a call. */
  flush(): void {
    while (this.#heldCount > 0) this.#skipMissing();
  }

  #setClock(nowMs: number): void {
    if (nowMs > this.#nowMs) this.#nowMs = nowMs;
  }

  /** Packets that have come in their place or ahead of it. */
  get #inPlace(): number {
    return this.stats.packetsReceived - this.stats.late;
  }

  /** The time since the beginning by the clock, timestamp units. */
  get #elapsed(): number {
    return (this.#nowMs - this.#originMs) * this.#unitsPerMs;
  }

  /** The first packet. */
  #start(arrivalMs: number): void {
    if (!this.#clockRuns) {
      this.#nowMs = Number.NEGATIVE_INFINITY;
      this.begin(arrivalMs);
    }
    this.#started = true;
    this.#lastArrivalMs = arrivalMs;
    this.#resync();
  }

  /** Begins anew with the packet in `header`: its numbers have nothing to do with those before. */
  #resync(): void {
    this.flush();
    this.#ssrc = header.ssrc | 0;
    this.#expectedSequence = header.sequenceNumber;
    this.#highestSequence = header.sequenceNumber;
    this.#restartSequence = -1;
    this.#seen.fill(-1);
    this.#jitterArrivalMs = Number.NaN;
    this.#unanchored = true;
    this.#missing = 0;
    this.#followClock();
  }

  /** Where timestamps do not tell, the caller's time goes on by the clock, and what is behind it is silence. */
  #followClock(): void {
    const now = Math.round(this.#elapsed);
    const frames = Math.floor((now - this.#position) / this.#options.frameSamples);
    if (frames > 0)
      this.#fill(Math.min(frames, (MAX_FILL_MS * this.#unitsPerMs) / this.#options.frameSamples), 0);
    this.#position = Math.max(this.#position, now);
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
    const { timestamp } = header;
    const transitMs =
      arrivalMs -
      this.#jitterArrivalMs -
      timestampDistance(timestamp, this.#jitterTimestamp) / this.#unitsPerMs;
    // NaN at a new beginning; and a leap of the timestamp is no jitter.
    if (Math.abs(transitMs) < MAX_FILL_MS) stats.jitterMs += (Math.abs(transitMs) - stats.jitterMs) / 16;
    this.#jitterArrivalMs = arrivalMs;
    this.#jitterTimestamp = timestamp | 0;
  }

  #hold(ahead: number, payload: Buffer, arrivalMs: number): void {
    const { sequenceNumber, timestamp } = header;
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
    const units = (end - start) * this.#unitsPerByte;
    let gap = 0;
    if (this.#unanchored) this.#unanchored = false;
    else {
      gap = timestampDistance(timestamp, this.#expectedTimestamp);
      if (this.#missing > 0) this.#judgeMissing(timestamp, units);
    }
    const limit = this.#elapsed + this.#leadUnits;
    const isBeyond = gap > 0 && this.#position + gap + units > limit;
    if (isBeyond || Math.abs(gap) > MAX_FILL_MS * this.#unitsPerMs) {
      this.stats.restarts++;
      this.#followClock();
    } else if (gap > 0) {
      // Part of a frame is time only: whoever listens gets no odd scraps.
      const frames = Math.floor(gap / this.#options.frameSamples);
      this.#fill(frames, (this.#missing * this.#lastPacketUnits) / this.#options.frameSamples);
      this.#position += gap - frames * this.#options.frameSamples;
    }
    this.#expectedTimestamp = (timestamp + units) | 0;
    this.#filledUnits = 0;
    this.#missing = 0;
    this.#lastPacketUnits = units;
    if (this.#position + units > limit || (units < this.#minUnits && !this.#hasPace(limit))) {
      this.stats.early++;
      return;
    }
    this.#concealment?.heard(source, start, end);
    this.#emit(source, start, end, units);
  }

  /** Whether a packet with less audio than the least that one counts for can be taken. */
  #hasPace(limit: number): boolean {
    const pace = Math.max(this.#pace, this.#elapsed) + this.#minUnits;
    if (pace > limit) return false;
    this.#pace = pace;
    return true;
  }

  /** Before a packet of so many units others are missing: were they audio? */
  #judgeMissing(timestamp: number, units: number): void {
    const passed = timestampDistance(timestamp, this.#expectedTimestamp - this.#filledUnits);
    const needed = this.#missing * Math.min(units, this.#lastPacketUnits);
    if (this.#keys.isKey(this.#missing, passed, needed, this.#nowMs)) this.#missing = 0;
  }

  /** Fills time; of its frames the first `lost` are a loss, the others a pause of the sender's own. */
  #fill(frames: number, lost: number): void {
    const { frameSamples } = this.#options;
    this.stats.filledFrames += frames;
    for (let i = 0; i < frames; i++) {
      this.#expectedTimestamp = (this.#expectedTimestamp + frameSamples) | 0;
      this.#filledUnits += frameSamples;
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
