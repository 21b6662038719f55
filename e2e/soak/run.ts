/** One soak run: the lines call, the acts happen, and the watch looks, until the time is over. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../stack/stack.ts';
import { carryOut } from './acts.ts';
import { phoneCall, sippCall, wideCall } from './inbound.ts';
import { placedCall } from './outbound.ts';
import { ACTS_A_ROUND, actsOf, callsOf, type PlannedCall, type SoakOptions } from './plan.ts';
import type { Outcome } from './summary.ts';
import { type Breach, breachesOf, type EndRecord } from './verdict.ts';
import { asteriskHolds, bridgeHolds, type Open, openNow, Watch } from './watch.ts';
import type { RunningCall, World } from './world.ts';

const CENSUS_MS = 3_000;
const SAMPLE_MS = 10_000;
/** Longer than an idle connection of the HTTP API is kept (72 s): requests of the run left some. */
const SETTLE_MS = 90_000;
const BASELINE_MS = 5_000;
const POLL_MS = 500;
const LINE_START_MS = 700;

/** How a run is told of while it goes on. */
export interface Teller {
  readonly say: (line: string) => void;
  /** How long the second Asterisk's telephone talks, ms. */
  readonly wideTalkMs: number;
}

/** Carries a plan out. Resolves with what was seen; rejects if the stack itself fails. */
export async function run(
  world: World,
  options: SoakOptions,
  stop: () => void,
  { say, wideTalkMs }: Teller,
): Promise<Outcome> {
  const start = await baseline(world);
  const atStart = { asterisk: await asteriskHolds(world), bridge: await bridgeHolds(world) };
  const watch = new Watch(world);
  const beganMs = performance.now();
  const endMs = beganMs + options.minutes * 60_000;
  const breaches: Breach[] = [];
  const failed = (what: string) => void breaches.push({ id: '', what, isCut: false });
  const wholeTime = setTimeout(stop, endMs - beganMs);
  const lines = Array.from({ length: options.calls }, (_, line) =>
    runLine(world, options, line + 1, wideTalkMs),
  );
  const looks = repeat(world, CENSUS_MS, async () => {
    for (const what of await watch.census()) if (!breaches.some((known) => known.what === what)) failed(what);
  });
  const samples = repeat(world, SAMPLE_MS, () => watch.sample());
  const acts = runActs(world, options, beganMs, say);
  const parts = await Promise.allSettled([...lines, acts, looks, samples]);
  clearTimeout(wholeTime);
  for (const part of parts) if (part.status === 'rejected') failed(`${(part.reason as Error).stack}`);
  say(`time is over: ${world.ended.length} calls, waiting until nothing is held …`);
  const end = await settled(world, start, failed);
  if (end.asteriskDescriptors > start.asteriskDescriptors)
    for (const what of moreHeld(atStart.asterisk, await asteriskHolds(world))) failed(`Asterisk ${what}`);
  if (end.bridgeDescriptors > start.bridgeDescriptors)
    for (const what of moreHeld(atStart.bridge, await bridgeHolds(world))) failed(`the bridge ${what}`);
  const records = await world.slots.current.calls();
  breaches.push(...judged(world, records));
  for (const { name, isSteep, perMinute } of watch.slopes)
    if (isSteep) failed(`memory of ${name} grows by ${Math.round((perMinute ?? 0) / 1024)} KiB a minute`);
  return { calls: world.ended, acts: world.acts, breaches, start, end, slopes: watch.slopes };
}

/** One line: one call after the other. */
async function runLine(world: World, options: SoakOptions, line: number, wideTalkMs: number): Promise<void> {
  await sleep(line * LINE_START_MS);
  for (const planned of callsOf(line, options)) {
    await sleep(planned.pauseMs, undefined, { signal: world.over }).catch(() => undefined);
    if (world.over.aborted) return;
    const running: RunningCall = { planned };
    world.running.set(planned.id, running);
    const beganMs = performance.now();
    try {
      const end = await callOf(world, planned, running, wideTalkMs);
      const facts = { id: planned.id, kind: planned.kind, beganMs, endedMs: performance.now() };
      world.ended.push({ isOrderFailed: false, ...facts, ...end });
    } catch (error) {
      throw new Error(`call ${planned.id} (${planned.kind.name}) during ${world.act?.name ?? 'no act'}`, {
        cause: error,
      });
    } finally {
      world.running.delete(planned.id);
    }
  }
}

function callOf(world: World, planned: PlannedCall, running: RunningCall, wideTalkMs: number) {
  switch (planned.kind.by) {
    case 'phone':
      return phoneCall(world, planned, running);
    case 'sipp':
      return sippCall(world, planned);
    case 'wide':
      return wideCall(world, planned, running, wideTalkMs);
    default:
      return placedCall(world, planned, running);
  }
}

async function runActs(
  world: World,
  options: SoakOptions,
  beganMs: number,
  say: (line: string) => void,
): Promise<void> {
  let number = 0;
  for (const act of actsOf(options)) {
    await sleep(act.pauseMs, undefined, { signal: world.over }).catch(() => undefined);
    if (world.over.aborted) return;
    number += 1;
    world.act = act.kind;
    await world.looking;
    const fromMs = performance.now();
    const target = await carryOut(world, act);
    const toMs = performance.now();
    world.act = undefined;
    world.acts.push({ kind: act.kind, fromMs, toMs, target });
    const round = `act ${number} (${((number - 1) % ACTS_A_ROUND) + 1} of ${ACTS_A_ROUND})`;
    const elapsed = `${Math.round((toMs - beganMs) / 1000)} s of ${options.minutes * 60} s`;
    const counts = `${world.running.size} calls up, ${world.ended.length} ended`;
    say(`${elapsed}: ${round}, ${act.kind.name} for ${Math.round(toMs - fromMs)} ms; ${counts}`);
  }
}

/** Looks again and again until the time is over. A look that fails, as in an act, is nothing. */
async function repeat(world: World, everyMs: number, look: () => Promise<void>): Promise<void> {
  while (!world.over.aborted) {
    await sleep(everyMs, undefined, { signal: world.over }).catch(() => undefined);
    await look().catch(() => undefined);
  }
}

/** The least that is open while nothing is done: connections to ARI come and go. */
async function baseline(world: World): Promise<Open> {
  const endMs = performance.now() + BASELINE_MS;
  // As at the end, with the connections that the questions take.
  await held(world);
  let least = await openNow(world);
  while (performance.now() < endMs) {
    await sleep(POLL_MS);
    await held(world);
    least = leastOf(least, await openNow(world));
  }
  return least;
}

function leastOf(one: Open, other: Open): Open {
  return {
    asteriskDescriptors: Math.min(one.asteriskDescriptors, other.asteriskDescriptors),
    bridgeDescriptors: Math.min(one.bridgeDescriptors, other.bridgeDescriptors),
    asteriskPorts: Math.min(one.asteriskPorts, other.asteriskPorts),
    bridgePorts: Math.min(one.bridgePorts, other.bridgePorts),
  };
}

/** Waits until everything is as at the start. What is not, in time, is a breach. */
async function settled(world: World, start: Open, failed: (what: string) => void): Promise<Open> {
  let end = await openNow(world);
  let found: string[] = [];
  await until('everything is as at the start', SETTLE_MS, async () => {
    end = leastOf(end, await openNow(world));
    found = [...(await held(world)), ...more(start, end)];
    return found.length === 0;
  }).catch(() => {
    for (const what of found) failed(`at the end: ${what}`);
  });
  return end;
}

/** What the stack holds, that it does not when there is no call. */
async function held({ stack, slots }: World): Promise<string[]> {
  const [channels, bridges, metrics] = await Promise.all([
    stack.ari.channels(),
    stack.ari.bridges(),
    slots.current.metrics(),
  ]);
  const counts: [string, number][] = [
    ['channels', channels.length],
    ['mixing bridges', bridges.length],
    ['calls of the bridge', metrics.pipecat_bridge_calls_active ?? Number.NaN],
    ['callbacks that wait', metrics.pipecat_bridge_callbacks_pending ?? Number.NaN],
    ['writes of records that wait', metrics.pipecat_bridge_records_waiting ?? Number.NaN],
  ];
  return counts.filter(([, count]) => count !== 0).map((pair) => pair.join(': '));
}

/** Which descriptors there are more of. */
function moreHeld(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string[] {
  return [...now]
    .filter(([name, count]) => count > (before.get(name) ?? 0))
    .map(([name, count]) => `had ${before.get(name) ?? 0} and has ${count} of: ${name}`);
}

/** What is more than at the start. */
function more(start: Open, end: Open): string[] {
  return (Object.keys(start) as (keyof Open)[])
    .filter((name) => end[name] > start[name])
    .map((name) => `${name} ${start[name]} became ${end[name]}`);
}

/** What is wrong with the calls that have ended. */
function judged({ ended, acts, receipts }: World, records: readonly EndRecord[]): Breach[] {
  const byId = Map.groupBy(records, ({ callId }) => callId);
  return ended.flatMap((facts) => breachesOf(facts, acts, byId.get(facts.id) ?? [], receipts.of(facts.id)));
}
