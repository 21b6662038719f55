import { BotConnectError } from '../src/pipecat/bot-connection.ts';
import type { DialectName } from '../src/pipecat/dialect.ts';
import { FRAME_MS } from '../src/units/audio.ts';
import { type Caller, CallOver } from './caller.ts';
import { type Outcome, time } from './finding.ts';

/** How long the check waits, in ms. */
export interface Patience {
  readonly connectMs: number;
  /** For the bot's first sound. */
  readonly greetingMs: number;
  /** For the end of what it says first. */
  readonly greetingEndMs: number;
  /** For the answer to a ping. */
  readonly pingMs: number;
  readonly silenceMs: number;
  readonly responseMs: number;
  /** What a step without an answer waits for a bot to take offence. */
  readonly offenceMs: number;
}

/** A call in which steps are taken. */
export interface Stage {
  readonly caller: Caller;
  readonly dialect: DialectName;
  readonly patience: Patience;
  /** What the caller says, in the call's encoding. */
  readonly speech: Buffer;
  /** Whether that is a recording, with words in it. */
  readonly hasWords: boolean;
  /** Another caller, at the same time. Rejects with a `BotConnectError`. */
  readonly dial: () => Promise<Caller>;
}

/** One step of the call. */
export interface Step {
  readonly name: string;
  /** A bot that does not pass it is not fit for calls. */
  readonly isRequired: boolean | ((stage: Stage) => boolean);
  /** Rejects with a `CallOver` where the call ended meanwhile. */
  readonly run: (stage: Stage) => Promise<Outcome>;
}

/** Later than this, and callers say "hello?". */
const PROMPT_GREETING_MS = 1_500;
const PROMPT_RESPONSE_MS = 2_000;
const PROMPT_CLEAR_MS = 800;
/** Longer than the breaks within words: the bot is not speaking now. */
const UNHEARD_MS = 200;
/** So long unheard, the bot has finished. */
const PAUSE_MS = 700;
/** Of a bot's answer, before the caller interrupts it. */
const BEFORE_BARGE_IN_MS = 400;
const AFTER_BARGE_IN_MS = 1_000;
/** The bridge cuts the socket after a second. */
const CLOSE_MS = 900;
/** The second caller stays so long. */
const SHORT_CALL_MS = 300;

const LISTEN =
  'keep reading the socket in a task of its own; pings are answered by every WebSocket library that is read';
const CLOSE =
  'close the socket when the bridge does (or on hangup/stop): a bot that waits for the end of its own work holds the call’s resources';

/** The steps of the call, in order. */
export const STEPS: readonly Step[] = [
  { name: 'greeting', isRequired: false, run: greeting },
  { name: 'ping', isRequired: true, run: ping },
  { name: 'silence', isRequired: true, run: silence },
  { name: 'response', isRequired: ({ hasWords }) => hasWords, run: response },
  { name: 'barge-in', isRequired: false, run: bargeIn },
  { name: 'key', isRequired: true, run: key },
  { name: 'unknown event', isRequired: true, run: unknownEvent },
  { name: 'second call', isRequired: true, run: secondCall },
];

async function greeting({ caller, patience }: Stage): Promise<Outcome> {
  const isHeard = () => caller.firstHeardMs < Number.POSITIVE_INFINITY;
  if (!(await caller.until(isHeard, patience.greetingMs))) {
    return {
      ok: false,
      detail: `nothing heard for ${time(patience.greetingMs)}`,
      advice:
        'say something as soon as `start` comes: the caller hears dead air, and ANSWER_ON=first-audio never answers',
    };
  }
  const afterMs = caller.firstHeardMs - caller.answeredMs;
  const hasPaused = await caller.until(() => caller.quietMs >= PAUSE_MS, patience.greetingEndMs);
  const lengthMs = caller.lastHeardMs - caller.firstHeardMs;
  const detail = `heard ${time(afterMs)} after the answer, ${hasPaused ? `for ${time(lengthMs)}` : `still going on after ${time(patience.greetingEndMs)}`}`;
  if (afterMs <= PROMPT_GREETING_MS) return { ok: true, detail };
  return {
    ok: true,
    detail,
    advice: `greet within ${time(PROMPT_GREETING_MS)}: have the greeting’s audio ready`,
  };
}

async function ping(stage: Stage): Promise<Outcome> {
  return read(stage, (tripMs) => `answered after ${time(tripMs)}`);
}

/** Whether all that was sent so far has been read: the answer to a ping behind it says so. */
async function read({ caller, patience }: Stage, say: (tripMs: number) => string): Promise<Outcome> {
  const tripMs = await caller.ping(patience.pingMs);
  if (tripMs !== undefined) return { ok: true, detail: say(tripMs) };
  const detail = `a ping was not answered within ${time(patience.pingMs)}: the bot does not read its socket`;
  return { ok: false, detail, advice: LISTEN };
}

async function silence(stage: Stage): Promise<Outcome> {
  const { caller, patience } = stage;
  await caller.wait(patience.silenceMs);
  return read(stage, () => `${time(patience.silenceMs)} of it taken, in messages of 20 ms`);
}

async function response({ caller, patience, speech, hasWords }: Stage): Promise<Outcome> {
  if (caller.quietMs < PAUSE_MS) return { ok: undefined, detail: 'the bot never paused to listen' };
  const fromMs = performance.now();
  await caller.say(speech);
  const saidMs = performance.now();
  const isHeard = () => caller.lastHeardMs > fromMs;
  if (!(await caller.until(isHeard, patience.responseMs))) {
    return {
      ok: false,
      detail: `nothing heard for ${time(patience.responseMs)} after the caller spoke`,
      advice: hasWords
        ? 'look at what the bot’s speech detection and recognition made of the caller’s audio, its encoding and rate'
        : 'the caller spoke syllables without words: give a recording (SPEECH=hello.wav)',
    };
  }
  const afterMs = performance.now() - saidMs;
  if (afterMs < FRAME_MS) return { ok: true, detail: 'heard while the caller spoke' };
  const detail = `heard ${time(afterMs)} after the caller’s last word`;
  if (afterMs <= PROMPT_RESPONSE_MS) return { ok: true, detail };
  return {
    ok: true,
    detail,
    advice: `callers wait ${time(PROMPT_RESPONSE_MS)} at most: shorten the pause that ends a turn, stream speech as it is made`,
  };
}

async function bargeIn({ caller, speech }: Stage): Promise<Outcome> {
  await caller.wait(BEFORE_BARGE_IN_MS);
  if (caller.quietMs > UNHEARD_MS) return { ok: undefined, detail: 'the bot was not speaking' };
  const { length } = caller.clears;
  const fromMs = performance.now();
  await caller.say(speech);
  const isCleared = await caller.until(() => caller.clears.length > length, AFTER_BARGE_IN_MS);
  const cleared = caller.clears[length];
  if (!isCleared || cleared === undefined) {
    const isQuiet = caller.quietMs > UNHEARD_MS;
    return {
      ok: false,
      detail: isQuiet ? 'the bot fell silent, without `clear`' : 'the bot spoke on, without `clear`',
      advice:
        'send `clear` when the caller interrupts: what the bridge has queued is played to its end otherwise',
    };
  }
  const afterMs = cleared.atMs - fromMs;
  const detail = `\`clear\` ${time(afterMs)} after the caller began, ${time(cleared.cutMs)} of audio cut`;
  if (afterMs <= PROMPT_CLEAR_MS) return { ok: true, detail };
  return {
    ok: true,
    detail,
    advice: `callers expect silence within ${time(PROMPT_CLEAR_MS)}: send \`clear\` as soon as speech is detected`,
  };
}

async function key(stage: Stage): Promise<Outcome> {
  const { caller, patience } = stage;
  caller.tell({ type: 'dtmf', digit: '5', durationMs: 120 });
  const fromMs = performance.now();
  const messages = caller.media.length;
  await caller.wait(patience.offenceMs);
  const answer = caller.media[messages];
  return read(stage, () =>
    answer === undefined ? '5 taken' : `5 taken, audio ${time(answer.atMs - fromMs)} later`,
  );
}

/**
 * New messages may join the native dialect: a bot ignores what it does not know. The Twilio dialect
 * sends only what Twilio documents.
 */
async function unknownEvent(stage: Stage): Promise<Outcome> {
  const { caller, dialect, patience } = stage;
  if (dialect === 'twilio') return { ok: undefined, detail: 'never sent in this dialect' };
  caller.sendRaw({ event: 'bot-check', note: 'an event of a later version' });
  await caller.wait(patience.offenceMs);
  return read(stage, () => 'passed over');
}

/** A caller who changes their mind, while another is being served. */
async function secondCall({ caller, dial }: Stage): Promise<Outcome> {
  let other: Caller | undefined;
  try {
    other = await dial();
    await other.wait(SHORT_CALL_MS);
  } catch (error) {
    if (!(error instanceof BotConnectError) && !(error instanceof CallOver)) throw error;
    const detail = `beside the first: ${other?.ending?.detail ?? error.message}`;
    return {
      ok: false,
      detail,
      advice: 'serve every connection on its own: the bridge opens one for each call',
    };
  }
  const closedMs = await other.hangUp();
  // The first one has not noticed.
  await caller.wait(0);
  return closing('beside the first, hung up at once', closedMs);
}

/** How the bot took the end of a call. */
export function closing(detail: string, closedMs: number): Outcome {
  if (closedMs < CLOSE_MS) return { ok: true, detail: `${detail}: closed after ${time(closedMs)}` };
  return { ok: false, detail: `${detail}: not closed within ${time(CLOSE_MS)}, cut off`, advice: CLOSE };
}
