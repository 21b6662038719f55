/** Carries out the acts of a run: faults, and what an operator does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RECORDS_PATH } from '../stack/containers.ts';
import { LOCALHOST } from '../stack/ports.ts';
import { until } from '../stack/stack.ts';
import type { PlannedAct } from './plan.ts';
import type { RunningCall, World } from './world.ts';

const BOT_REQUEST_MS = 5_000;
const READY_LIMIT_MS = 60_000;
/** After a handover that took calls from a process that was killed, until they are adopted. */
const ADOPTED_MS = 10_000;
const LOSS_MIN = 4;
const LOSS_CHOICES = 8;

/** Does it, waits until everything works again, and returns the call that it concerned. */
export async function carryOut(world: World, act: PlannedAct): Promise<string | undefined> {
  const target = act.kind.hasTarget ? chosen(world, act.choice)?.planned.id : undefined;
  if (act.kind.hasTarget && target === undefined) return undefined;
  await DEEDS[act.kind.name]?.(world, act, target ?? '');
  await world.slots.current.ready();
  world.proxy.noticed();
  return target;
}

/** One of the calls that talk to a bot. */
function chosen(world: World, choice: number): RunningCall | undefined {
  const up = [...world.running.values()].filter(
    ({ answeredMs, isAway }) => answeredMs !== undefined && !isAway,
  );
  return up[choice % Math.max(1, up.length)];
}

type Deed = (world: World, act: PlannedAct, target: string) => Promise<unknown>;

/** The bot of a call closes its connection. It may have none just now. */
function botCloses(code: number): Deed {
  return async ({ stack }, _act, target) => {
    const url = `http://${LOCALHOST}:${stack.ports.mock}/calls/${encodeURIComponent(target)}/close?code=${code}`;
    await fetch(url, { method: 'POST', signal: AbortSignal.timeout(BOT_REQUEST_MS) });
  };
}

/** By the name of the kind. */
const DEEDS: Readonly<Record<string, Deed>> = {
  'bot-closes-1000': botCloses(1000),
  'bot-closes-1011': botCloses(1011),
  'bot-cut-1006': botCloses(1006),
  'bot-hangs': async ({ stack }, { lastsMs }) => {
    await stack.pausePart('mock');
    await sleep(lastsMs).finally(() => stack.resumePart('mock'));
  },
  'bot-stops': async ({ stack }, { lastsMs }) => {
    await stack.killPart('mock');
    await sleep(lastsMs);
    await stack.startPart('mock');
  },
  'events-cut': (world, act) => cut(world, act, {}),
  'events-stalled': (world, act) => cut(world, act, { unnoticed: true }),
  'ari-cut': (world, act) => cut(world, act, { requests: true, unnoticed: true }),
  'asterisk-stands-still': async ({ stack }, { lastsMs }) => {
    await stack.pausePart('asterisk');
    await sleep(lastsMs).finally(() => stack.resumePart('asterisk'));
  },
  'rtp-loss': async (world, { lastsMs, choice }) => {
    world.lossOneIn = LOSS_MIN + (choice % LOSS_CHOICES);
    await sleep(lastsMs);
    world.lossOneIn = 0;
  },
  'callbacks-refused': async ({ receipts }, { lastsMs }) => {
    receipts.isRefusing = true;
    await sleep(lastsMs);
    receipts.isRefusing = false;
  },
  'records-disk-full': async ({ onRecordsDisk }, { lastsMs }) => {
    // As much as there is room for.
    await onRecordsDisk(`dd if=/dev/zero of=${RECORDS_PATH}/filler bs=64k 2>/dev/null || true`);
    await sleep(lastsMs);
    await onRecordsDisk(`rm -f ${RECORDS_PATH}/filler`);
  },
  'bridge-stands-still': ({ slots }, { lastsMs }) => slots.current.standStill(() => sleep(lastsMs)),
  'bridge-killed': async ({ slots }, { lastsMs }) => {
    await slots.current.signal('SIGKILL');
    await sleep(lastsMs);
    await slots.current.start();
  },
  handover,
  'sigterm-start': async ({ slots }, { lastsMs }) => {
    await slots.current.signal('SIGTERM');
    await sleep(lastsMs);
    await slots.current.start();
  },
  'hold-new-calls': async ({ slots }, { lastsMs }) => {
    await slots.current.signal('SIGUSR2');
    await sleep(lastsMs);
  },
};

async function cut(
  { proxy }: World,
  { lastsMs }: PlannedAct,
  how: { requests?: boolean; unnoticed?: boolean },
): Promise<void> {
  proxy.cut(how);
  await sleep(lastsMs).finally(() => proxy.mend());
}

/**
 * A second bridge takes the new calls. The first one ends when it has no call any more; if that
 * takes too long it is killed, and the second one adopts its calls.
 */
async function handover({ slots }: World, { lastsMs }: PlannedAct): Promise<void> {
  const { current: old, other: next } = slots;
  await next.start();
  slots.swap();
  await next.ready();
  const callsOf = async () => (await old.metrics()).pipecat_bridge_calls_active ?? 0;
  await until('the first one has no calls', lastsMs, async () => (await callsOf()) === 0).catch(
    () => undefined,
  );
  const isIdle = (await callsOf()) === 0;
  await old.signal(isIdle ? 'SIGTERM' : 'SIGKILL');
  if (!isIdle) await sleep(ADOPTED_MS);
  await until('the second one is ready', READY_LIMIT_MS, () => next.ready().then(() => true));
}
