import { HeldPackets, HOLD_PACKETS } from './held-packets.ts';
import { KeyGaps } from './key-gaps.ts';
import { NewcomerWatch } from './newcomer-watch.ts';
import { createRtpHeader, parseRtpHeader, sequenceDistance, timestampDistance } from './packet.ts';
import type { LossConcealment, RtpReceiverOptions } from './receiver-options.ts';
import { noReceiverStats, type RtpReceiverStats } from './receiver-stats.ts';
import { MIN_PACKET_MS, ShortPackets } from './short-packets.ts';

// RFC 3550 appendix A.1: a larger jump of the sequence number means a restart of the sender.
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 100;
// Sequence numbers remembered to detect duplicates. Must be more than MAX_MISORDER.
const HISTORY = 128;
// A larger jump of the timestamp is a restart of the sender, not a pause to fill.
const MAX_FILL_MS = 2000;

/**
 * Shared by all receivers of a thread, so that it stays in the CPU cache. Used only within `push`.
 */
const header = createRtpHeader();

/** Turns the datagrams of one source into audio frames in order, without gaps, and counts them. */
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
  /** Received sequence numbers, indexed by their low bits; -1: none. */
  readonly #seen = new Int32Array(HISTORY).fill(-1);
  readonly #held = new HeldPackets();
  /** Packets in `#held`. Here, so that a packet in order does not touch `#held`. */
  #heldCount = 0;
  /** Whether the caller's timeline has begun, and whether a packet was received. */
  #clockRuns = false;
  #started = false;
  /** As a signed 32-bit integer, like the timestamps: V8 stores these in the object itself. */
  #ssrc = 0;
  #expectedSequence = 0;
  #highestSequence = 0;
  #expectedTimestamp = 0;
  /** Timestamp units inserted since the last packet with audio. */
  #filledUnits = 0;
  readonly #keys: KeyGaps;
  readonly #newcomers = new NewcomerWatch();
  readonly #shortPackets: ShortPackets;
  /** Packets counted as lost since the last one passed on. */
  #missing = 0;
  #lastPacketUnits = 0;
  /** True from a restart until its first frame has set the expected timestamp. */
  #unanchored = true;
  /** The sequence number that would confirm a restart; -1: none is suspected. */
  #restartSequence = -1;
  /** Start of the next frame on the caller's timeline, timestamp units. */
  #position = 0;
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
    this.#shortPackets = new ShortPackets(this.#minUnits);
  }

  /**
   * Begins the caller's timeline, with silence until a packet arrives. Else the first packet does.
   */
  begin(nowMs: number): void {
    if (this.#clockRuns) return;
    this.#clockRuns = true;
    this.#originMs = nowMs;
    this.#lastArrivalMs = nowMs;
    this.#setClock(nowMs);
  }

  /** Asterisk reports the end of a key press. It removed the telephone event's packets. */
  keyHeard(durationMs: number, nowMs: number): void {
    this.#keys.keyHeard(durationMs, nowMs);
  }

  /**
   * Takes a datagram that arrived at `arrivalMs` (monotonic clock). It is valid during the call
   * only. Never throws, whatever the datagram contains.
   */
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
      // It has a sequence number of the stream, but cannot start a stream.
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
      // Drop a single stray packet. Two consecutive ones are a restart (RFC 3550 appendix A.1).
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
      // It was counted as lost, unless it was sent before the first packet received.
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
   * Call it about once per frame. Releases packets that have waited too long for a missing one.
   * Inserts silence while the sender suppresses silence or the network stalls.
   */
  tick(nowMs: number): void {
    if (!this.#clockRuns) return;
    if (this.#heldCount > 0) {
      this.#setClock(nowMs);
      this.#giveUpMissing(nowMs);
    }
    // Stay `idleMs` behind the clock, so that packets delayed by less lose nothing. Before the
    // first packet there is no delay.
    const behindMs = this.#started ? this.#options.idleMs : 0;
    if (nowMs - this.#lastArrivalMs < behindMs) return;
    this.#setClock(nowMs);
    this.#fillTo((nowMs - behindMs - this.#originMs) * this.#unitsPerMs);
  }

  /** Passes on all held packets, at the end of a call. */
  flush(): void {
    while (this.#heldCount > 0) this.#skipMissing();
  }

  #setClock(nowMs: number): void {
    if (nowMs > this.#nowMs) this.#nowMs = nowMs;
  }

  /** Packets received that were on time or ahead of the expected one. */
  get #inPlace(): number {
    return this.stats.packetsReceived - this.stats.late;
  }

  /** Time since the timeline began, by the clock, timestamp units. */
  get #elapsed(): number {
    return (this.#nowMs - this.#originMs) * this.#unitsPerMs;
  }

  /** Handles the first packet. */
  #start(arrivalMs: number): void {
    if (!this.#clockRuns) {
      this.#nowMs = Number.NEGATIVE_INFINITY;
      this.begin(arrivalMs);
    }
    this.#started = true;
    this.#lastArrivalMs = arrivalMs;
    this.#resync();
  }

  /** Restarts the stream with the packet in `header`: its numbers are unrelated to earlier ones. */
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

  /** Moves the timeline on to the clock and fills with silence: timestamps do not tell the time. */
  #followClock(): void {
    const now = Math.round(this.#elapsed);
    this.#fillTo(now);
    this.#position = Math.max(this.#position, now);
  }

  /** Fills with silence to this place of the timeline, timestamp units: whole frames only. */
  #fillTo(units: number): void {
    const { frameSamples } = this.#options;
    const frames = Math.floor((units - this.#position) / frameSamples);
    if (frames > 0) this.#fill(Math.min(frames, (MAX_FILL_MS * this.#unitsPerMs) / frameSamples), 0);
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
    // NaN after a restart. A jump of the timestamp is not jitter.
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
    this.#held.put(sequenceNumber, timestamp, payload, arrivalMs);
    this.#heldCount++;
  }

  /**
   * Counts missing packets as lost if one waited too long for them, by the clock or by timestamps.
   */
  #giveUpMissing(nowMs: number): void {
    const { maxReorderMs } = this.#options;
    const maxUnits = maxReorderMs * this.#unitsPerMs;
    while (
      this.#heldCount > 0 &&
      this.#held.isOverdue(nowMs, maxReorderMs, this.#expectedTimestamp, maxUnits)
    ) {
      this.#skipMissing();
    }
  }

  /** Counts packets missing before the first held one as lost, then releases held packets. */
  #skipMissing(): void {
    while (!this.#held.has(this.#expectedSequence)) {
      this.stats.lost++;
      this.#missing++;
      this.#expectedSequence = (this.#expectedSequence + 1) & 0xffff;
    }
    this.#releaseHeld();
  }

  #releaseHeld(): void {
    while (this.#heldCount > 0) {
      const packet = this.#held.take(this.#expectedSequence);
      if (packet === undefined) return;
      this.#heldCount--;
      this.#deliver(packet.timestamp, packet.payload, 0, packet.payload.length);
    }
  }

  /** Passes on the next packet in order, after frames that fill the time before it. */
  #deliver(timestamp: number, source: Buffer, start: number, packetEnd: number): void {
    this.#expectedSequence = (this.#expectedSequence + 1) & 0xffff;
    // Cut half a sample at the end: it would shift the bytes that follow.
    const end = packetEnd - ((packetEnd - start) % this.#bytesPerSample);
    // The timestamp does not advance within a telephone event, and an empty packet has no duration.
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
      // Less than a frame only moves the position: the listener gets whole frames.
      const frames = Math.floor(gap / this.#options.frameSamples);
      this.#fill(frames, (this.#missing * this.#lastPacketUnits) / this.#options.frameSamples);
      this.#position += gap - frames * this.#options.frameSamples;
    }
    this.#expectedTimestamp = (timestamp + units) | 0;
    this.#filledUnits = 0;
    this.#missing = 0;
    this.#lastPacketUnits = units;
    if (
      this.#position + units > limit ||
      (units < this.#minUnits && !this.#shortPackets.accepts(this.#elapsed, limit))
    ) {
      this.stats.early++;
      return;
    }
    this.#concealment?.heard(source, start, end);
    this.#emit(source, start, end, units);
  }

  /** Decides whether packets missing before one of `units` were audio. */
  #judgeMissing(timestamp: number, units: number): void {
    const passed = timestampDistance(timestamp, this.#expectedTimestamp - this.#filledUnits);
    const needed = this.#missing * Math.min(units, this.#lastPacketUnits);
    if (this.#keys.isKey(this.#missing, passed, needed, this.#nowMs)) this.#missing = 0;
  }

  /** Inserts frames: the first `lost` replace lost packets, the others a pause of the sender. */
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
