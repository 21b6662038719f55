import { setTimeout as delay } from 'node:timers/promises';
import { BotConnectError } from '../src/pipecat/bot-connection.ts';
import { Caller, CallOver, type Line } from './caller.ts';
import { type Finding, finding, type Outcome, time } from './finding.ts';
import { closing, STEPS, type Stage, type Step } from './steps.ts';
import { type MediaFigures, mediaFigures } from './tally.ts';
import { verdicts } from './verdicts.ts';

/** Tries that a bridge has to connect, and the pause between them. */
const TRIES = 3;
const RETRY_MS = 250;
const PROMPT_CONNECT_MS = 1_000;

/** What to check: a line for every call, and what the stage is made of. */
export interface CheckPlan extends Omit<Stage, 'caller' | 'dial'> {
  /** Another call's line: an id of its own. */
  readonly line: () => Line;
}

/** All that was found, and measured. */
export interface CheckReport {
  /** `incomplete`: nothing failed, but something required was not reached. */
  readonly result: 'pass' | 'fail' | 'incomplete';
  readonly findings: readonly Finding[];
  readonly media: MediaFigures;
}

/** Calls a bot and takes every step; each finding is told as it is made. */
export async function checkBot(plan: CheckPlan, tell: (finding: Finding) => void): Promise<CheckReport> {
  const findings: Finding[] = [];
  let isIncomplete = false;
  const note = (found: Finding) => {
    findings.push(found);
    tell(found);
  };
  const { caller, outcome } = await connect(plan);
  note(finding('connect', true, outcome));
  try {
    if (caller !== undefined) isIncomplete = await converse(plan, caller, note);
  } finally {
    if (caller?.isClosed === false) await caller.hangUp();
  }
  const hasFailed = findings.some(({ verdict }) => verdict === 'fail');
  const result = hasFailed ? 'fail' : isIncomplete ? 'incomplete' : 'pass';
  return { result, findings, media: mediaFigures(caller?.media ?? []) };
}

/** Takes every step; whether something required was not reached. */
async function converse(plan: CheckPlan, caller: Caller, note: (finding: Finding) => void): Promise<boolean> {
  const dial = () => Caller.call(plan.line(), AbortSignal.timeout(plan.patience.connectMs));
  const stage: Stage = { ...plan, caller, dial };
  let isIncomplete = false;
  for (const step of STEPS) {
    const isRequired = typeof step.isRequired === 'function' ? step.isRequired(stage) : step.isRequired;
    const found = await take(step, isRequired, stage);
    if (found === undefined) isIncomplete ||= isRequired;
    note(found ?? { step: step.name, verdict: 'skip', detail: 'not reached: the call is over' });
  }
  note(finding('hang-up', true, await hangUp(caller)));
  for (const found of verdicts(caller)) note(found);
  return isIncomplete;
}

async function connect(plan: CheckPlan): Promise<{ caller?: Caller; outcome: Outcome }> {
  const fromMs = performance.now();
  const line = plan.line();
  const signal = AbortSignal.timeout(plan.patience.connectMs);
  const failures: string[] = [];
  while (failures.length < TRIES && !signal.aborted) {
    try {
      const caller = await Caller.call(line, signal);
      return { caller, outcome: connected(caller.answeredMs - fromMs, failures) };
    } catch (error) {
      if (!(error instanceof BotConnectError)) throw error;
      failures.push(error.message);
      if (failures.length < TRIES) await delay(RETRY_MS);
    }
  }
  const [detail = ''] = failures;
  return {
    outcome: {
      ok: false,
      detail: `${detail} (${failures.length} of ${TRIES} tries)`,
      advice: connectAdvice(detail),
    },
  };
}

function connected(afterMs: number, failures: readonly string[]): Outcome {
  const [first] = failures;
  if (first !== undefined) {
    const detail = `open at try ${failures.length + 1}, after ${first}`;
    return {
      ok: true,
      detail,
      advice: 'accept every connection at once: the caller waits, and a busy bridge has three tries',
    };
  }
  const detail = `open after ${time(afterMs)}, no compression offered`;
  if (afterMs <= PROMPT_CONNECT_MS) return { ok: true, detail };
  return {
    ok: true,
    detail,
    advice:
      'the caller hears ringing meanwhile: load models at start, accept first and build the pipeline then',
  };
}

function connectAdvice(detail: string): string {
  if (detail.includes('ECONNREFUSED'))
    return 'nothing listens there: is the bot running, are address and port right?';
  if (detail.includes('in time'))
    return 'the TCP connection is taken, but not answered: is this a WebSocket server, is it busy?';
  if (detail.includes('response: 40'))
    return 'look at path and token (AUTHORIZATION), and at what the server allows as Origin';
  return 'look at the bot’s own log';
}

/** Undefined: the call was over before, by the bot’s own hang-up. */
async function take(step: Step, isRequired: boolean, stage: Stage): Promise<Finding | undefined> {
  const wasOver = stage.caller.ending !== undefined;
  try {
    if (!wasOver) return finding(step.name, isRequired, await step.run(stage));
  } catch (error) {
    if (!(error instanceof CallOver)) throw error;
  }
  const { ending } = stage.caller;
  if (wasOver || ending === undefined || ending.kind === 'goodbye') return undefined;
  return finding(step.name, true, {
    ok: false,
    detail: ending.detail,
    advice: ending.kind === 'lost' ? lostAdvice : 'look at the row `messages`',
  });
}

const lostAdvice =
  'the bridge takes any close but 1000 for a loss and connects again: catch errors in the pipeline, close with 1000 to hang up';

/** The end of the call: the bot’s own, or the caller’s. */
async function hangUp(caller: Caller): Promise<Outcome> {
  const { ending } = caller;
  const how = ending?.kind === 'goodbye' ? `the bot hung up ${ending.detail}` : 'by the caller';
  if (ending !== undefined && ending.kind !== 'goodbye')
    return { ok: undefined, detail: 'the call was lost before' };
  if (caller.isClosed) return { ok: true, detail: how };
  return closing(how, await caller.hangUp());
}
