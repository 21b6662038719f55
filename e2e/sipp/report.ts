/** Puts SIP, sound and the bot's account of a call together, and judges it. Pure. */

import type { SipCall } from './messages.ts';
import type { Datagram } from './pcap.ts';
import { examineStream, heardMs, type StreamReport } from './stream.ts';

/**
 * The fields of the mock bot's report (`GET /calls/{id}`) that are used here. The whole report is
 * passed on.
 */
export interface BotView {
  mode: string;
  media: { messages: number; heardMs: Record<string, number> };
  sent: { messages: number; audioMs: number };
  violations: { what: string }[];
}

/** One call, from both ends. */
export interface CallReport {
  sip: SipCall;
  /** RTP that reached this end. */
  heard: StreamReport;
  /** RTP that this end sent. */
  spoke: StreamReport;
  /** First sound of the far end that is not our own tone, in ms after the INVITE. */
  inviteToAudioMs?: number;
  bot?: BotView;
}

/** The shortest sound that counts as heard, in ms. */
const HEARD_MS = 200;
/** The share of packets that may be missing. */
const MAX_LOSS = 0.01;

/**
 * The reports of all calls in a message log and capture. The media ports in the SDP tell the
 * streams apart.
 */
export function reportCalls(
  calls: readonly SipCall[],
  datagrams: readonly Datagram[],
  localAddress: string,
  toneHz: number,
): CallReport[] {
  return calls.map((sip) => {
    const startMs = sip.answeredAtMs ?? sip.inviteAtMs;
    const heard = datagrams.filter(
      (d) => d.destination === localAddress && d.destinationPort === sip.mediaPort,
    );
    const spoke = datagrams.filter((d) => d.source === localAddress && d.sourcePort === sip.mediaPort);
    const report = { sip, heard: examineStream(heard, startMs), spoke: examineStream(spoke, startMs) };
    const first = report.heard.segments.find(({ sound }) => sound !== 'silence' && sound !== toneHz);
    if (!first) return report;
    return { ...report, inviteToAudioMs: Math.round(first.fromMs + startMs - sip.inviteAtMs) };
  });
}

/** Why the call is no success; empty for one that is. */
export function findFaults(report: CallReport, toneHz: number, botAsked: boolean): string[] {
  const { sip, heard, spoke, bot } = report;
  if (sip.status !== 200) return [`not answered: SIP status ${sip.status ?? 'none'}`];
  const faults: string[] = [];
  // An echoing bot speaks with the caller's voice.
  const otherMs = heard.audibleMs - (bot?.mode === 'echo' ? 0 : heardMs(heard, toneHz));
  if (otherMs < HEARD_MS) faults.push(`the caller heard ${otherMs} ms of the AI`);
  if (heard.lost > heard.packets * MAX_LOSS) faults.push(`${heard.lost} packets to the caller were lost`);
  if (!botAsked) return faults;
  if (!bot) return [...faults, 'the mock bot does not know this call'];
  // Who was hung up on before he spoke could not be heard.
  if (heardMs(spoke, toneHz) >= HEARD_MS && (bot.media.heardMs[toneHz] ?? 0) < HEARD_MS) {
    faults.push(`the AI heard ${bot.media.heardMs[toneHz] ?? 0} ms of the caller`);
  }
  if (bot.media.messages < spoke.packets * (1 - MAX_LOSS) - 50) {
    faults.push(`the AI got ${bot.media.messages} of the caller's ${spoke.packets} packets`);
  }
  return faults;
}

/** A few lines for people. */
export function describe(report: CallReport, faults: readonly string[]): string {
  const { sip, heard, spoke, bot } = report;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const sounds = (parts: Record<string, number>) => {
    const names = Object.entries(parts).filter(([name, ms]) => name !== 'silence' && ms >= HEARD_MS);
    const name = (key: string) => (Number(key) > 0 ? `${key} Hz` : 'speech');
    return names.map(([key, ms]) => `${name(key)} for ${seconds(ms)}`).join(', ') || 'nothing';
  };
  const ms = (value: number | undefined) => (value === undefined ? 'never' : `${Math.round(value)} ms`);
  const lines = [
    `SIP              ${sip.statuses.join(' ') || 'no answer'}, ended by ${sip.endedBy === 'them' ? 'the far end' : 'this end'}`,
    `INVITE to        answer ${ms(sip.inviteToAnswerMs)}, first AI audio ${ms(report.inviteToAudioMs)}`,
    `caller heard     ${sounds(soundsOf(heard))}`,
    `RTP to caller    ${heard.packets} packets, ${heard.lost} lost, 20 ms kept within ${heard.spacingDeviationMs.p99} ms (p99)`,
    `RTP from caller  ${spoke.packets} packets`,
    ...(bot
      ? [
          `AI heard         ${sounds(bot.media.heardMs)}`,
          `AI messages      ${bot.media.messages} received, ${bot.sent.messages} sent (${seconds(bot.sent.audioMs)} of audio, mode ${bot.mode})`,
        ]
      : []),
    faults.length === 0 ? 'PASS' : `FAIL: ${faults.join('; ')}`,
  ];
  return lines.join('\n');
}

function soundsOf(stream: StreamReport): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { sound, audioMs } of stream.segments) sums[sound] = (sums[sound] ?? 0) + audioMs;
  return sums;
}
