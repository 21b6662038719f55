/** Examines the RTP packets that one end received from another: order, spacing and audio. Pure. */
import { decodeAlaw, decodeUlaw, dominantTone, rms } from '../mock-pipecat/src/tones.ts';
import type { Datagram } from './pcap.ts';

/** What a stretch of audio holds: a tone of a frequency in Hz, other sound (speech), or silence. */
export type Sound = number | 'other' | 'silence';

/** A stretch of one kind of sound. */
export interface Segment {
  sound: Sound;
  /** Arrival of its first packet, in ms after the call's answer. */
  fromMs: number;
  /** Arrival of its last packet plus that packet's length, in ms after the call's answer. */
  toMs: number;
  /** Length of the audio itself in ms. */
  audioMs: number;
}

/** A packet before which time is missing. */
export interface Leap {
  /** Its arrival, ms since 1970. */
  atMs: number;
  /** Growth of the timestamp, in ms. */
  ms: number;
}

/** Nothing came for a while. */
export interface Stall {
  /** When the packet came that had been waited for, ms since 1970. */
  endAtMs: number;
  /** Since the packet before it, in ms. */
  ms: number;
}

/**
 * One RTP stream as examined. Times are in ms after the call's answer unless the name says
 * otherwise.
 */
export interface StreamReport {
  packets: number;
  lost: number;
  duplicates: number;
  reordered: number;
  ssrcs: number[];
  payloadTypes: number[];
  /** Positions (0 = first packet) of the audio packets that carry the marker bit. */
  markersAt: number[];
  /** How often the timestamp grew by so much (in samples) from one sequence number to the next. */
  timestampSteps: Record<string, number>;
  /**
   * Packets before which the timestamp grew by something other than 20 ms: the sender was late and
   * left out what was due.
   */
  leaps: Leap[];
  /** Deviation of the arrival spacing from the packet length, in ms (absolute value). */
  spacingDeviationMs: { p50: number; p99: number; max: number };
  /** Every wait for the next packet that was half as long again as it should be, or longer. */
  stalls: Stall[];
  /** Where in the grid of 20 ms (of the capture's clock) most packets arrive, in ms: 0 to 20. */
  phaseMs: number;
  /** How much later than its timestamp the last packet came, in ms, measured from the first one. */
  driftMs: number;
  firstPacketMs?: number;
  lastPacketMs?: number;
  /** First packet that is no silence. */
  firstAudioMs?: number;
  /** End of the last packet that is no silence. */
  lastAudioMs?: number;
  audibleMs: number;
  segments: Segment[];
  /** RFC 4733 digits in order. */
  digits: string;
  /** Datagrams that are no RTP. */
  notRtp: number;
}

/** An RTP packet (RFC 3550, section 5.1) and when it came. */
export interface RtpPacket {
  timeMs: number;
  sequenceNumber: number;
  timestamp: number;
  ssrc: number;
  payloadType: number;
  marker: boolean;
  payload: Uint8Array;
}

const GRID_MS = 20;
const SAMPLES_PER_MS = 8;
const SILENCE_RMS = 60;
const DTMF_PAYLOAD_TYPE = 101;
const DTMF_DIGITS = '0123456789*#ABCD';

/**
 * Examines datagrams of one direction of a G.711 call. `answeredAtMs` is on the capture's clock.
 */
export function examineStream(datagrams: readonly Datagram[], answeredAtMs: number): StreamReport {
  const packets = datagrams.map(parseRtp).filter((packet) => packet !== undefined);
  const audio = packets.filter((packet) => packet.payloadType !== DTMF_PAYLOAD_TYPE);
  const order = examineOrder(packets);
  const segments = findSegments(audio, answeredAtMs);
  const sounding = segments.filter((segment) => segment.sound !== 'silence');
  const since = (packet: RtpPacket | undefined) => packet && round(packet.timeMs - answeredAtMs);
  return {
    packets: packets.length,
    ...order,
    ssrcs: [...new Set(packets.map((packet) => packet.ssrc))],
    payloadTypes: [...new Set(packets.map((packet) => packet.payloadType))],
    markersAt: audio.flatMap((packet, at) => (packet.marker ? [at] : [])),
    ...examinePace(audio),
    ...defined({
      firstPacketMs: since(audio[0]),
      lastPacketMs: since(audio.at(-1)),
      firstAudioMs: sounding[0]?.fromMs,
      lastAudioMs: sounding.at(-1)?.toMs,
    }),
    audibleMs: sounding.reduce((sum, segment) => sum + segment.audioMs, 0),
    segments,
    digits: readDigits(packets),
    notRtp: datagrams.length - packets.length,
  };
}

/** Total length in ms of `sound` in a stream. */
export function heardMs(stream: StreamReport, sound: Sound): number {
  return stream.segments.reduce((sum, segment) => sum + (segment.sound === sound ? segment.audioMs : 0), 0);
}

/** The silences between sounds, in order: what a listener would call gaps. */
export function gaps(stream: StreamReport): Segment[] {
  const first = stream.segments.findIndex((segment) => segment.sound !== 'silence');
  const last = stream.segments.findLastIndex((segment) => segment.sound !== 'silence');
  return stream.segments.slice(first + 1, Math.max(last, 0)).filter((segment) => segment.sound === 'silence');
}

/** Reads a datagram as RTP; undefined when it is none, or RTCP on the same port. */
export function parseRtp({ payload: bytes, timeMs }: Datagram): RtpPacket | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || view.getUint8(0) >> 6 !== 2) return undefined;
  const payloadType = view.getUint8(1) & 0x7f;
  // RTCP on the same port (RFC 5761) has packet types 192-223 in this byte.
  if (payloadType >= 64 && payloadType <= 95) return undefined;
  const flags = view.getUint8(0);
  let start = 12 + 4 * (flags & 0x0f);
  if (flags & 0x10) start += 4 + 4 * (start + 4 <= bytes.length ? view.getUint16(start + 2) : 0);
  const end = bytes.length - (flags & 0x20 ? view.getUint8(bytes.length - 1) : 0);
  return {
    timeMs,
    payloadType,
    marker: view.getUint8(1) >> 7 === 1,
    sequenceNumber: view.getUint16(2),
    timestamp: view.getUint32(4),
    ssrc: view.getUint32(8),
    payload: bytes.subarray(Math.min(start, bytes.length), Math.max(start, end)),
  };
}

/** Counts by sequence number, source by source. */
function examineOrder(packets: readonly RtpPacket[]) {
  const figures = {
    lost: 0,
    duplicates: 0,
    reordered: 0,
    timestampSteps: {} as Record<string, number>,
    leaps: [] as Leap[],
  };
  const highest = new Map<number, RtpPacket>();
  for (const packet of packets) {
    const before = highest.get(packet.ssrc);
    const step = before ? (packet.sequenceNumber - before.sequenceNumber + 0x10000) % 0x10000 : 1;
    if (step === 0) figures.duplicates++;
    else if (step >= 0x8000) {
      figures.reordered++;
      figures.lost = Math.max(0, figures.lost - 1);
    } else {
      figures.lost += step - 1;
      highest.set(packet.ssrc, packet);
      if (
        before &&
        step === 1 &&
        packet.payloadType !== DTMF_PAYLOAD_TYPE &&
        before.payloadType === packet.payloadType
      ) {
        const grown = (packet.timestamp - before.timestamp) | 0;
        figures.timestampSteps[grown] = (figures.timestampSteps[grown] ?? 0) + 1;
        const ms = grown / SAMPLES_PER_MS;
        if (ms !== GRID_MS) figures.leaps.push({ atMs: packet.timeMs, ms });
      }
    }
  }
  return figures;
}

function examinePace(audio: readonly RtpPacket[]) {
  const deviations: number[] = [];
  const stalls: Stall[] = [];
  for (const [at, packet] of audio.entries()) {
    const before = audio[at - 1];
    if (!before) continue;
    const lengthMs = before.payload.length / SAMPLES_PER_MS;
    const waitMs = packet.timeMs - before.timeMs;
    deviations.push(Math.abs(waitMs - lengthMs));
    if (waitMs >= 1.5 * lengthMs) stalls.push({ endAtMs: packet.timeMs, ms: round(waitMs) });
  }
  deviations.sort((a, b) => a - b);
  const percentile = (share: number) => round(deviations[Math.floor((deviations.length - 1) * share)] ?? 0);
  return {
    spacingDeviationMs: { p50: percentile(0.5), p99: percentile(0.99), max: percentile(1) },
    stalls,
    phaseMs: phaseOf(audio),
    driftMs: driftOf(audio[0], audio.at(-1)),
  };
}

function driftOf(first: RtpPacket | undefined, last: RtpPacket | undefined): number {
  if (!first || !last) return 0;
  return round(last.timeMs - first.timeMs - ((last.timestamp - first.timestamp) >>> 0) / SAMPLES_PER_MS);
}

/**
 * The median, relative to the first packet, since values are cyclic: the grid's end is next to its
 * start.
 */
function phaseOf(audio: readonly RtpPacket[]): number {
  const firstMs = audio[0]?.timeMs ?? 0;
  const offsets = audio.map(({ timeMs }) => ((timeMs - firstMs + GRID_MS / 2) % GRID_MS) - GRID_MS / 2);
  offsets.sort((a, b) => a - b);
  return round((firstMs + (offsets[offsets.length >> 1] ?? 0) + GRID_MS) % GRID_MS);
}

function findSegments(audio: readonly RtpPacket[], answeredAtMs: number): Segment[] {
  const sounds = audio.map(classify);
  const segments: Segment[] = [];
  for (const [at, packet] of audio.entries()) {
    const audioMs = packet.payload.length / SAMPLES_PER_MS;
    const fromMs = round(packet.timeMs - answeredAtMs);
    const sound = atEdge(sounds, at);
    const current = segments.at(-1);
    if (current?.sound === sound) {
      current.audioMs += audioMs;
      current.toMs = round(fromMs + audioMs);
    } else {
      segments.push({ sound, fromMs, toMs: round(fromMs + audioMs), audioMs });
    }
  }
  return segments;
}

/**
 * A single frame of another sound beside a tone contains the edge of the tone: it counts as the
 * tone.
 */
function atEdge(sounds: readonly Sound[], at: number): Sound {
  const here = sounds[at] ?? 'silence';
  if (here !== 'other') return here;
  const before = sounds[at - 1];
  const after = sounds[at + 1];
  if (typeof before === 'number' && after !== 'other') return before;
  if (typeof after === 'number' && before !== 'other') return after;
  return here;
}

function classify({ payload, payloadType }: RtpPacket): Sound {
  const samples = payloadType === 8 ? decodeAlaw(payload) : decodeUlaw(payload);
  if (rms(samples) < SILENCE_RMS) return 'silence';
  return dominantTone(samples, SAMPLES_PER_MS * 1000) ?? 'other';
}

function readDigits(packets: readonly RtpPacket[]): string {
  const events = new Map<number, number>();
  for (const { payloadType, timestamp, payload } of packets) {
    if (payloadType === DTMF_PAYLOAD_TYPE) events.set(timestamp, payload[0] ?? 0);
  }
  return [...events.values()].map((event) => DTMF_DIGITS[event] ?? '?').join('');
}

function defined<T extends Record<string, number | undefined>>(values: T): { [K in keyof T]?: number } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: number;
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
