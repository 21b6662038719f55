import type { Caller } from './caller.ts';
import { type Finding, finding, type Outcome, time } from './finding.ts';
import { mediaFigures } from './tally.ts';

/** A message beyond this is a burst: nothing of it can be taken back but by `clear`. */
const BURST_MS = 1_000;

/**
 * Findings that need the whole call: the audio's format and pace, messages not understood, other
 * requests.
 */
export function verdicts(caller: Caller): readonly Finding[] {
  return [
    finding('audio', true, audio(caller)),
    finding('messages', true, messages(caller)),
    finding('pace', false, pace(caller)),
    finding('marks', false, marks(caller)),
  ];
}

function audio({ media, encodings, splitSamples, playout }: Caller): Outcome {
  if (media.length === 0) {
    return {
      ok: false,
      detail: 'the bot sent no audio at all',
      advice: 'send {"event":"media","payload":"<base64>"}, as bridge/wire and docs/BOTS.md have it',
    };
  }
  const { audioMs, messageMs, messageBytes } = mediaFigures(media);
  const detail = `${time(audioMs)} of ${[...encodings].join(', ')} in ${media.length} messages of ${Math.round(messageMs.p50)} ms (most ${time(messageMs.max)}, ${messageBytes.max} bytes)`;
  if (playout.overflowBytes > 0) {
    return {
      ok: false,
      detail: `${detail}; ${playout.overflowBytes} bytes lost`,
      advice: `send less far ahead: the bridge holds ${time(playout.highWaterMs)}`,
    };
  }
  if (splitSamples === 0) return { ok: true, detail };
  return {
    ok: true,
    detail,
    advice: `${splitSamples} messages end within a 16-bit sample: send whole samples`,
  };
}

function messages({ bad, refused, asked }: Caller): Outcome {
  const unknown = [...asked].map(([what, times]) => `${what} ×${times}`);
  const also = unknown.length > 0 ? `; also ${unknown.join(', ')}` : '';
  if (bad.length === 0) return { ok: true, detail: `all understood${also}` };
  const kinds = bad.map(({ code, detail }) => `${code} ×${refused[code]} (${detail})`);
  const advice = bad.some(({ code }) => code === 'binary')
    ? 'send text messages only; raw audio has to be agreed on (PIPECAT_FRAMING=binary, native dialect)'
    : 'see the schemas in bridge/wire; the bridge drops such messages, and after 50 in a row the bot';
  return { ok: false, detail: `${kinds.join('; ')}${also}`, advice };
}

function pace({ media, playout }: Caller): Outcome {
  if (media.length === 0) return { ok: undefined, detail: 'no audio' };
  const { speed, messagesPerSecond, gapMs, messageMs } = mediaFigures(media);
  const ahead = `up to ${time(playout.highWaterMs)} ahead`;
  const rate = speed === undefined ? 'all at once' : `${speed.toFixed(1)} times real time`;
  const detail = `${rate}, ${ahead}, ${messagesPerSecond} messages a second at most, gaps of ${Math.round(gapMs.p50)} ms (most ${time(gapMs.max)})`;
  if (playout.underruns > 0) {
    return {
      ok: false,
      detail: `${detail}; torn ×${playout.underruns}, by ${time(playout.longestGapMs)} at most`,
      advice:
        'the audio came too late: send by an absolute clock, one message ahead of real time, or faster than real time',
    };
  }
  if (messageMs.max > BURST_MS)
    return {
      ok: true,
      detail,
      advice: 'long messages play well; a caller’s interruption must be answered with `clear`',
    };
  return { ok: true, detail };
}

function marks({ marks: { asked, answered }, queuedMs }: Caller): Outcome {
  if (asked === 0) return { ok: undefined, detail: 'none asked for' };
  const waiting =
    asked > answered ? `, ${asked - answered} behind ${time(queuedMs)} that was not played` : '';
  return { ok: true, detail: `${asked} asked for, ${answered} answered when played or cleared${waiting}` };
}
