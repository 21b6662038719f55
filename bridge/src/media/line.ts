import { randomInt } from 'node:crypto';
import { Concealment } from '../audio/concealment.ts';
import { fader } from '../audio/fade.ts';
import { type AudioFormat, bytesPerSample, FRAME_MS, silenceByte } from '../audio/format.ts';
import { ChanWebsocketTransport } from '../chan-websocket/socket-transport.ts';
import { type RtpCodec, RtpTransport } from '../rtp/rtp-transport.ts';
import type { RtpSockets } from '../rtp/sockets.ts';
import type { OnFrame, TransportFigures } from './line-transport.ts';
import { hostClockMs, rtpStart } from './rtp-start.ts';
import type { MediaSettings } from './session.ts';

const SOCKET_MS = 5_000;

/** What a transport gets from its owner. */
export interface LineHooks {
  readonly onFrame: OnFrame;
  /** Monotonic clock, ms. */
  readonly now: () => number;
}

/** Bytes of a 20 ms frame. */
export function frameBytes({ encoding, sampleRate }: AudioFormat): number {
  return (bytesPerSample(encoding) * sampleRate * FRAME_MS) / 1000;
}

/** Asterisk's name of a line format (`format` of external media). */
export function asteriskFormat({ encoding, sampleRate }: AudioFormat): string {
  if (encoding === 'pcmu') return 'ulaw';
  if (encoding === 'pcma') return 'alaw';
  return sampleRate === 8_000 ? 'slin' : `slin${sampleRate / 1000}`;
}

/**
 * Opens an RTP transport on a shared UDP port.
 * @throws `NoPortError`
 */
export function openRtpLine(settings: MediaSettings, sockets: RtpSockets, hooks: LineHooks): RtpTransport {
  const { encoding } = settings.line;
  return new RtpTransport(sockets.join(settings.address), {
    codec: encoding as RtpCodec,
    concealment: settings.concealment === 'repeat' ? repetition(settings.line) : undefined,
    ssrc: randomInt(2 ** 32),
    ...rtpStart(hostClockMs(), settings.line.sampleRate),
    ...hooks,
  });
}

function repetition(line: AudioFormat): Concealment {
  const silentFrame = Buffer.alloc(frameBytes(line), silenceByte(line.encoding));
  return new Concealment(fader(line.encoding, silentFrame.length), silentFrame);
}

/** Connects to Asterisk's media WebSocket. Rejects with a `MediaSocketError`. */
export async function openSocketLine(
  { line }: MediaSettings,
  url: string,
  authorization: string,
  hooks: LineHooks,
  onClosed: () => void,
): Promise<ChanWebsocketTransport> {
  return await ChanWebsocketTransport.open(
    {
      url,
      authorization,
      format: asteriskFormat(line),
      frameBytes: frameBytes(line),
      silence: silenceByte(line.encoding),
      onClosed,
      ...hooks,
    },
    AbortSignal.timeout(SOCKET_MS),
  );
}

/** Counters of a line that was never opened. */
export const NO_FIGURES: TransportFigures = {
  packetsReceived: 0,
  packetsSent: 0,
  lost: 0,
  late: 0,
  early: 0,
  duplicates: 0,
  reordered: 0,
  malformed: 0,
  filledFrames: 0,
  concealedFrames: 0,
  ssrcChanges: 0,
  jitterMs: 0,
  longestGapMs: 0,
  sendErrors: 0,
};
