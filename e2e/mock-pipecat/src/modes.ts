import type { Bot, Reactions } from './bot.ts';
import { AT_ONCE, faster, type Pace } from './clip.ts';
import { bytesPerSample } from './format.ts';
import { garbage } from './garbage.ts';
import { MARKER_HZ, SECOND_HZ } from './tones.ts';
import { Vad } from './vad.ts';

/**
 * What happens to the connection request: accepted after `afterMs`, refused with HTTP 503, or never
 * answered.
 */
export type Gate = { accept: true; afterMs: number } | { accept: false; answer: boolean };

/** One way to behave. */
export interface Mode {
  /** The last three digits of the number that is dialled. */
  readonly number: string;
  /** The value of `mode` in the query. */
  readonly name: string;
  /** For the `attempt`-th connection of a call, from 1. Left out: accepted at once. */
  readonly gate?: (attempt: number, afterMs: number | undefined) => Gate;
  /** Called with `start`; says what to do later. */
  readonly run: (bot: Bot) => Reactions;
}

const ACCEPT: Gate = { accept: true, afterMs: 0 };
const REFUSE: Gate = { accept: false, answer: true };
/** Speech of the caller that interrupts the bot, in ms. */
const INTERRUPT_MS = 300;
/** The greeting cannot be interrupted for so long, in ms: callers say hello too. */
const GREETING_MS = 2000;

/**
 * Greets, repeats what the caller says, stops when interrupted, reads digits out. `#` ends the call
 * with a goodbye.
 */
function parrot(bot: Bot): Reactions {
  const vad = new Vad(bot.start.sampleRate);
  let interruptible = false;
  bot.after(GREETING_MS, () => {
    interruptible = true;
  });
  bot.phrase('greeting');
  return {
    media(_, samples) {
      const utterance = vad.push(samples());
      if (interruptible && bot.speaking && vad.speechMs >= INTERRUPT_MS) bot.clear();
      if (utterance) bot.say(utterance);
    },
    digit(digit) {
      if (bot.speaking) bot.clear();
      if (digit === '#') bot.phrase('goodbye', () => bot.send({ event: 'hangup' }));
      else bot.phrase(digit);
    },
  };
}

function echo(bot: Bot): Reactions {
  return { media: (payload) => bot.sendPayload(payload) };
}

function hz(bot: Bot): number {
  return bot.options.tone_hz ?? MARKER_HZ;
}

function endlessTone(bot: Bot): Reactions {
  bot.endlessTone(hz(bot));
  return {};
}

/** `ms` of tone in `messages` messages, all at once. */
function burst(bot: Bot): Reactions {
  const ms = bot.options.ms ?? 30_000;
  const messages = bot.options.messages ?? 1;
  bot.tone(hz(bot), ms, { ...AT_ONCE, chunkMs: messages === 1 ? Infinity : Math.ceil(ms / messages) });
  return {};
}

function fast(bot: Bot): Reactions {
  bot.tone(hz(bot), bot.options.ms ?? 10_000, faster(bot.options.speed ?? 3.5));
  return {};
}

/**
 * 1100 bytes a message (no multiple of any packet), sent at multiples of 40 ms: gaps of 120 and 160
 * ms for G.711.
 */
function chunks(bot: Bot): Reactions {
  const { encoding, sampleRate } = bot.start;
  const chunkMs = (1100 * 1000) / (sampleRate * bytesPerSample(encoding));
  const pace: Pace = { chunkMs, intervalMs: chunkMs, gridMs: 40 };
  if (bot.options.ms === undefined) bot.endlessTone(hz(bot), pace);
  else bot.tone(hz(bot), bot.options.ms, pace);
  return {};
}

/**
 * 30 s of tone at once. Once the caller is heard (at the earliest `after_ms` after the answer):
 * `clear`, then the second tone.
 */
function bargeIn(bot: Bot): Reactions {
  const vad = new Vad(bot.start.sampleRate);
  let armed = false;
  bot.tone(hz(bot), bot.options.ms ?? 30_000, AT_ONCE);
  return {
    answered: () =>
      bot.after(bot.options.after_ms ?? 1000, () => {
        armed = true;
      }),
    media(_, samples) {
      vad.push(samples());
      if (!armed || vad.speechMs === 0) return;
      armed = false;
      bot.clear();
      bot.tone(SECOND_HZ, 500);
    },
  };
}

/**
 * Sends faster than real time, and asks to hang up as soon as all is sent: the caller must hear it
 * to its end.
 */
function goodbye(bot: Bot): Reactions {
  const hangUp = () => bot.send({ event: 'hangup' });
  bot.tone(hz(bot), bot.options.ms ?? 2000, faster(bot.options.speed ?? 3.5), hangUp);
  return {};
}

/** Answers each digit with 200 ms of the second tone and a mark. */
function dtmf(bot: Bot): Reactions {
  return {
    digit: (digit) =>
      bot.tone(SECOND_HZ, 200, AT_ONCE, () => bot.send({ event: 'mark', name: `digit-${digit}` })),
  };
}

/** Speaks, and closes after `after_ms`. A call that comes back is answered with the second tone. */
function closing(code: number): Mode['run'] {
  return (bot) => {
    if (bot.record.attempt > 1) {
      bot.endlessTone(SECOND_HZ);
      return {};
    }
    bot.endlessTone(hz(bot));
    bot.after(bot.options.after_ms ?? 3000, () => bot.close(code));
    return {};
  };
}

function stopReading(bot: Bot): Reactions {
  bot.endlessTone(hz(bot));
  bot.stopReading(bot.options.ms ?? 60_000);
  return {};
}

/**
 * Speaks, then hangs: sends nothing and reads nothing, not even pings, for `ms`. A call that comes
 * back is answered with the second tone.
 */
function hanging(bot: Bot): Reactions {
  if (bot.record.attempt > 1) bot.endlessTone(SECOND_HZ);
  else
    bot.tone(hz(bot), bot.options.after_ms ?? 2000, undefined, () => bot.stopReading(bot.options.ms ?? 8000));
  return {};
}

/** Five tones of 500 ms at once, each with a mark behind it. */
function marks(bot: Bot): Reactions {
  for (let i = 1; i <= 5; i++) {
    bot.tone(hz(bot), 500, AT_ONCE, () => bot.send({ event: 'mark', name: `mark-${i}` }));
  }
  return {};
}

function late(bot: Bot): Reactions {
  bot.after(bot.options.after_ms ?? 5000, () => bot.endlessTone(hz(bot)));
  return {};
}

/**
 * The end of a stock Pipecat bot: speech, 2 s of silence in one message, 40 ms later close 1000.
 */
function pipecatEnd(bot: Bot): Reactions {
  bot.tone(hz(bot), bot.options.ms ?? 2000, faster(3.5), () => {
    bot.say(new Int16Array(2 * bot.start.sampleRate), AT_ONCE, () => bot.after(40, () => bot.close(1000)));
  });
  return {};
}

/**
 * A stock bot whose pipeline ends by itself: speech, 2 s of silence in one message, a message to
 * its own clients. The socket stays open.
 */
function pipecatStays(bot: Bot): Reactions {
  bot.tone(hz(bot), bot.options.ms ?? 2000, faster(3.5), () => {
    bot.say(new Int16Array(2 * bot.start.sampleRate), AT_ONCE, () => sayToClients(bot));
  });
  return {};
}

/** Pipecat's protocol to its own clients (RTVI) is on the same wire. */
function sayToClients(bot: Bot): void {
  bot.sendRaw(JSON.stringify({ label: 'rtvi-ai', type: 'bot-llm-text', data: { text: 'hello' } }));
}

/** The marker tone without end, and 25 such messages a second. */
function rtvi(bot: Bot): Reactions {
  bot.endlessTone(hz(bot));
  const next = () => {
    sayToClients(bot);
    bot.after(40, next);
  };
  next();
  return {};
}

/** Sends digits to the caller. */
function digitsOut(bot: Bot): Reactions {
  return {
    answered: () => bot.after(bot.options.after_ms ?? 500, () => bot.send({ event: 'dtmf', digits: '12#' })),
  };
}

/** Sends nothing but bad messages, 200 a second, at most 2000: the bridge is to close with 1008. */
function flood(bot: Bot): Reactions {
  let left = 2000;
  const next = () => {
    bot.sendRaw('this is no JSON');
    if (--left > 0) bot.after(5, next);
  };
  next();
  return {};
}

/** The number plan. The first is the default. */
export const MODES: readonly [Mode, ...Mode[]] = [
  { number: '100', name: 'parrot', run: parrot },
  { number: '101', name: 'echo', run: echo },
  { number: '102', name: 'tone', run: endlessTone },
  { number: '103', name: 'burst', run: burst },
  { number: '104', name: 'fast', run: fast },
  { number: '105', name: 'chunks', run: chunks },
  { number: '106', name: 'barge-in', run: bargeIn },
  { number: '107', name: 'goodbye', run: goodbye },
  { number: '108', name: 'dtmf', run: dtmf },
  { number: '109', name: 'slow', gate: (_, afterMs = 3000) => ({ accept: true, afterMs }), run: endlessTone },
  { number: '110', name: 'refuse', gate: () => REFUSE, run: endlessTone },
  { number: '111', name: 'never', gate: () => ({ accept: false, answer: false }), run: endlessTone },
  { number: '112', name: 'close-1000', run: closing(1000) },
  { number: '113', name: 'close-1006', run: closing(1006) },
  { number: '114', name: 'close-1011', run: closing(1011) },
  { number: '115', name: 'stop-reading', run: stopReading },
  { number: '116', name: 'garbage', run: garbage },
  { number: '117', name: 'mark', run: marks },
  { number: '118', name: 'late', run: late },
  { number: '119', name: 'lost', gate: (attempt) => (attempt === 1 ? ACCEPT : REFUSE), run: closing(1006) },
  {
    number: '120',
    name: 'second-try',
    gate: (attempt) => (attempt === 1 ? REFUSE : ACCEPT),
    run: endlessTone,
  },
  { number: '121', name: 'digits-out', run: digitsOut },
  { number: '122', name: 'pipecat-end', run: pipecatEnd },
  { number: '123', name: 'flood', run: flood },
  { number: '124', name: 'hang', run: hanging },
  { number: '130', name: 'rtvi', run: rtvi },
  { number: '131', name: 'pipecat-stays', run: pipecatStays },
];

/**
 * The mode asked for by name, else by the number's last three digits, else the default. Undefined:
 * no such name.
 */
export function chooseMode(name: string | undefined, toNumber: string | undefined): Mode | undefined {
  if (name !== undefined) return MODES.find((mode) => mode.name === name);
  const digits = (toNumber ?? '').replace(/\D/g, '').slice(-3);
  return MODES.find((mode) => mode.number === digits) ?? MODES[0];
}
