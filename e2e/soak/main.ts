#!/usr/bin/env node
/**
 * `make soak`: calls of all kinds on a real stack, with faults and planned acts, for MINUTES. Exits
 * with 1 and the seed if an invariant broke; SEED repeats the plan.
 */
import { randomInt } from 'node:crypto';
import { AriProxy } from '../hands/ari-proxy.ts';
import { WidePhone } from '../phones/wide-phone.ts';
import { startRecordsDisk } from '../stack/containers.ts';
import { LOCALHOST, PORTS } from '../stack/ports.ts';
import { Stack } from '../stack/stack.ts';
import { Exchange } from './exchange.ts';
import type { SoakOptions } from './plan.ts';
import { Receipts } from './receipts.ts';
import { run } from './run.ts';
import { Slots } from './slots.ts';
import { summary } from './summary.ts';
import type { Breach } from './verdict.ts';
import type { World } from './world.ts';

const SEEDS = 1_000_000;
const RECORDS_MEGABYTES = 16;
const WIDE_TALK_MS = 8_000;
const LOG_LINES = 25;
/** A run that takes so much longer than its time hangs: in Docker, or in an act. */
const LATE_MS = 300_000;
const USAGE_ERROR = 64;

function options(environment: NodeJS.ProcessEnv): SoakOptions {
  const number = (name: string, usual: number) => {
    const value = Number(environment[name] || usual);
    if (Number.isFinite(value) && value >= 0) return value;
    console.error(`${name} must be a number`);
    process.exit(USAGE_ERROR);
  };
  return { minutes: number('MINUTES', 3), calls: number('CALLS', 8), seed: number('SEED', randomInt(SEEDS)) };
}

function say(line: string): void {
  console.log(line);
}

/** Lines of the bridges' logs about a call. */
function about(id: string, logs: string): string[] {
  const lines = logs.split('\n').filter((line) => id !== '' && line.includes(`"${id}"`));
  return lines.slice(-LOG_LINES).map((line) => `      ${line.slice(0, 400)}`);
}

async function tellBreaches(world: World, breaches: readonly Breach[]): Promise<void> {
  const logs = (await Promise.all(world.slots.all.map((slot) => slot.logs()))).join('\n');
  for (const { id, what } of breaches) {
    say(`BROKEN  ${id} ${what}`);
    const facts = world.ended.find((call) => call.id === id);
    if (facts === undefined) continue;
    const { beganMs, answeredMs, endedMs, endedBy, status } = facts;
    const times = [beganMs, answeredMs, endedMs].map((ms) => (ms === undefined ? '-' : Math.round(ms)));
    say(`      began, answered, ended at ${times.join(', ')} ms; ended by ${endedBy} ${status ?? ''}`);
    for (const { kind, fromMs, toMs, target } of world.acts)
      if (fromMs < endedMs + 15_000 && toMs > beganMs - 15_000)
        say(`      ${kind.name} from ${Math.round(fromMs)} to ${Math.round(toMs)} ms ${target ?? ''}`);
    for (const line of about(id, logs)) say(line);
  }
}

async function main(): Promise<number> {
  const plan = options(process.env);
  say(`soak: ${plan.minutes} min, ${plan.calls} calls at a time, SEED=${plan.seed}`);
  const hangs = () => {
    say(`FAIL  the run does not end; SEED=${plan.seed}`);
    process.exit(1);
  };
  setTimeout(hangs, plan.minutes * 60_000 + LATE_MS).unref();
  await using proxy = await AriProxy.listen(PORTS);
  await using receipts = await Receipts.listen();
  const slots = new Slots({
    ARI_URL: proxy.url,
    RECONCILE_MS: '5000',
    STOP_DRAIN_S: '2',
    SHUTDOWN_MS: '2000',
    TRANSFER_CONTEXTS: 'human',
    CALLBACK_HOSTS: LOCALHOST,
    LOG_LEVEL: 'info',
  });
  let disk: Awaited<ReturnType<typeof startRecordsDisk>> | undefined;
  const stack = await Stack.start({
    without: ['bridge'],
    beforeAsterisk: async () => {
      disk = await startRecordsDisk(RECORDS_MEGABYTES);
    },
  });
  try {
    const wide = await WidePhone.start(WIDE_TALK_MS);
    await slots.current.start();
    await slots.current.ready();
    await using exchange = await Exchange.open(['pb_fintech', 'trunk', 'stream'], PORTS);
    const over = new AbortController();
    const world: World = {
      stack,
      slots,
      proxy,
      exchange,
      wide,
      receipts,
      onRecordsDisk: async (command) => void (await disk?.exec(['bash', '-c', command])),
      over: over.signal,
      running: new Map(),
      ended: [],
      acts: [],
      looking: Promise.resolve(),
      act: undefined,
      lossOneIn: 0,
    };
    const outcome = await run(world, plan, () => over.abort(), { say, wideTalkMs: WIDE_TALK_MS });
    for (const line of summary(outcome)) say(line);
    await tellBreaches(world, outcome.breaches);
    const isWell = outcome.breaches.length === 0;
    say(isWell ? `PASS  SEED=${plan.seed}` : `FAIL  ${outcome.breaches.length} broken; SEED=${plan.seed}`);
    return isWell ? 0 : 1;
  } finally {
    await stack.stop();
  }
}

process.exit(await main());
