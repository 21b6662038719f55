/** Calls that are placed: by the bridge's API, or by an origination into the app through ARI. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Callee } from './exchange.ts';
import { LINES } from './kinds.ts';
import type { PlannedCall } from './plan.ts';
import { doDeed, speak, untilHangUp } from './talk.ts';
import { longestSilenceMs } from './trend.ts';
import type { CallFacts } from './verdict.ts';
import type { RunningCall, World } from './world.ts';

const RING_S = 20;
/** Where nobody answers. */
const SHORT_RING_S = 3;
const GONE_LIMIT_MS = 120_000;
/** The API asks to wait while a provider's calls a second are used up. */
const TRIES = 3;
const AGAIN_MS = 1_500;

type End = Pick<CallFacts, 'answeredMs' | 'endedBy' | 'status' | 'longestSilenceMs'> & {
  isOrderFailed?: boolean;
};

/** One call from the order to the end. */
export async function placedCall(world: World, planned: PlannedCall, running: RunningCall): Promise<End> {
  const { id, kind } = planned;
  // Line and number make it unique; the last digits are the bot's mode.
  const [line = '', number = ''] = id.split('-').slice(2);
  const to = `${LINES[kind.line].prefix}${line.padStart(3, '0')}${number.padStart(4, '0')}${kind.bot}`;
  const taken = world.exchange.take(kind.line, to);
  taken.catch(() => undefined);
  const status = await order(world, planned, to);
  if (status >= 400) {
    // It may have been carried out, and only the answer was lost.
    const callee = await Promise.race([taken.catch(() => undefined), sleep(status === 504 ? 5_000 : 500)]);
    if (!callee) return { endedBy: 'refused', status, isOrderFailed: true };
  }
  try {
    using callee = await taken;
    return { ...(await answer(world, planned, callee, running)), isOrderFailed: status >= 400 };
  } catch (error) {
    if (!/^not within .* INVITE/.test((error as Error).message)) throw error;
    return { endedBy: 'refused' };
  }
}

/** Places the order. Returns the HTTP status; 504 if there was no answer. */
async function order(world: World, { id, kind }: PlannedCall, to: string): Promise<number> {
  const ringS = kind.does === 'ignore' ? SHORT_RING_S : RING_S;
  const callbackUrl = world.receipts.url;
  if (kind.by === 'ari') {
    const variables = { X_CALL_ID: id, X_CALLBACK_URL: callbackUrl, ...kind.variables };
    const target = { to: `${to}@${kind.line}`, callId: id, timeout: ringS, variables };
    return await world.stack.ari.originate(target).then(
      () => 200,
      () => 504,
    );
  }
  const { variables } = kind;
  const body = {
    to,
    provider: kind.line,
    callId: id,
    ringTimeoutSeconds: ringS,
    callbackUrl,
    ...(variables === undefined ? {} : { variables }),
  };
  let status = 504;
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    status = await world.slots.current.api.request('POST', '/calls', body).then(
      (reply) => reply.status,
      () => 504,
    );
    if (status < 400) return status;
    await sleep(AGAIN_MS);
  }
  return status;
}

/** What the callee does. */
async function answer(
  world: World,
  planned: PlannedCall,
  callee: Callee,
  running: RunningCall,
): Promise<End> {
  const { kind, ringMs, talkMs, deedMs } = planned;
  if (kind.does === 'busy') {
    callee.reply('486 Busy Here');
    return { endedBy: 'us', status: 486 };
  }
  callee.reply('180 Ringing');
  const gone = callee.gone(talkMs + GONE_LIMIT_MS);
  gone.catch(() => undefined);
  if (kind.does === 'ignore') {
    await gone;
    return { endedBy: 'us', status: 487 };
  }
  const isWithdrawn = await Promise.race([sleep(ringMs, false), gone.then(() => true)]);
  if (isWithdrawn) return { endedBy: 'refused', status: 487 };
  callee.reply('200 OK');
  const answeredMs = performance.now();
  running.answeredMs = answeredMs;
  speak(world, callee.rtp);
  const deed = sleep(deedMs, undefined, { signal: world.over }).then(() =>
    doDeed(world, planned, callee.rtp),
  );
  deed.catch(() => undefined);
  const isGone = await Promise.race([untilHangUp(world, talkMs).then(() => false), gone.then(() => true)]);
  if (!isGone)
    await callee.hangUp().catch((error: Error) => {
      if (world.act === undefined) throw error;
    });
  callee.rtp.hush();
  const silenceMs = longestSilenceMs(callee.rtp.datagrams);
  return { answeredMs, endedBy: isGone ? 'them' : 'us', longestSilenceMs: silenceMs };
}
