/**
 * The stack bench: real Asterisk, the bridge, SIPp for the signalling; the audio of phones and bots is the load generator's, whose
 * marked frames pass through everything. Calls are stepped up until sound suffers. Runs where Asterisk's network and processes are seen.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startBridge } from './bridge.ts';
import { Generator, type GeneratorReport, whyRefused } from './generator.ts';
import { type Child, machineShares, readMachine, readUsage, startPinned } from './process.ts';
import { PORTS, untilUp } from './run.ts';
import { layOut, ms } from './table.ts';

/** What a step found; CPU in % of one core. */
interface Step {
  readonly calls: number;
  readonly callsUp: number;
  readonly cpuPercent: Readonly<Record<Part, number>>;
  readonly busyPercent: number;
  readonly stealPercent: number;
  readonly report: Pick<GeneratorReport, 'up' | 'down' | 'latenessMs'>;
  /** Why the figures of the sound mean nothing: the generator was late, as it has no core of its own here. */
  readonly refused: string | undefined;
  /** Why the sound was not good; `undefined` where it was. */
  readonly fault: string | undefined;
}

type Part = 'asterisk' | 'bridge' | 'sipp' | 'generator';

const PHONE_ADDRESS = '127.0.0.2';
const SETTLE_S = 2.5;
const DRAIN_MS = 800;
const READY_MS = 20_000;
/** Calls that SIPp begins in a second. */
const RATE = 25;
/** From its last call to the window's end SIPp waits longer than all else may take. */
const SLACK_S = 12;
/** What a listener does not notice. */
const LOSS_MAX = 0.001;
const GAPS_PER_CALL_MINUTE_MAX = 0.5;
const PACING_P99_MAX_MS = 10;
const FULL_PERCENT = 90;

const startedMs = performance.now();
const cpus = `0-${(await readFile('/proc/cpuinfo', 'utf8')).match(/^processor/gm)?.length ?? 1}`.replace(
  /\d+$/,
  (count) => String(Number(count) - 1),
);

function say(text: string): void {
  console.error(`[${String(Math.round((performance.now() - startedMs) / 1000)).padStart(3)}s] ${text}`);
}

/** Asterisk runs beside us, in the same process and network namespaces. */
async function findAsterisk(): Promise<number> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const comm = await readFile(`/proc/${name}/comm`, 'utf8').catch(() => '');
    if (comm.trim() === 'asterisk') return Number(name);
  }
  throw new Error('no Asterisk in this process namespace');
}

async function ready(url: string): Promise<void> {
  const limitMs = performance.now() + READY_MS;
  while (
    !(await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (performance.now() > limitMs) throw new Error(`${url} is not ready`);
    await delay(100);
  }
}

async function startSipp(directory: string, calls: number, seconds: number): Promise<Child> {
  const lines = Array.from({ length: calls }, (_, call) => `${call};${PORTS.phones + 2 * call};`);
  const fields = join(directory, 'calls.csv');
  await writeFile(fields, `SEQUENTIAL\n${lines.join('\n')}\n`);
  const talkMs = Math.round((calls / RATE + SETTLE_S + seconds + SLACK_S) * 1000);
  const scenario = new URL('../sipp/caller.xml', import.meta.url).pathname;
  const child = startPinned(
    cpus,
    [
      ...['sipp', `127.0.0.1:${process.env.SIP_PORT ?? 5060}`, '-sf', scenario, '-inf', fields, '-nostdin'],
      ...[
        '-i',
        PHONE_ADDRESS,
        '-p',
        '5080',
        '-m',
        `${calls}`,
        '-l',
        `${calls}`,
        '-r',
        `${RATE}`,
        '-d',
        `${talkMs}`,
      ],
      ...['-cid_str', `%u-${process.pid}-${calls}@%s`],
    ],
    { TERM: 'dumb' },
    directory,
  );
  child.process.stdout?.resume();
  return child;
}

/** One number of calls, from a fresh bridge to the last hang-up. */
async function runStep(asterisk: number, calls: number, seconds: number, directory: string): Promise<Step> {
  const generator = await Generator.start({
    ...{ cpus, calls, mode: 'echo', callsPerSocket: 1, phoneAddress: PHONE_ADDRESS },
    ...{ botPort: PORTS.bot, phonePort: PORTS.phones },
  });
  const bridge = startBridge({
    ...{ cpus, calls, ariPort: Number(process.env.ARI_PORT ?? 8088) },
    ...{ botPort: PORTS.bot, httpPort: PORTS.http, rtpPort: PORTS.rtp },
    environment: { ARI_USERNAME: process.env.ARI_USERNAME, ARI_PASSWORD: process.env.ARI_PASSWORD },
  });
  let sipp: Child | undefined;
  try {
    await ready(`http://127.0.0.1:${PORTS.http}/readyz`);
    sipp = await startSipp(directory, calls, seconds);
    await delay((calls / RATE) * 1000);
    const callsUp = await untilUp(generator, calls);
    generator.measure(SETTLE_S, seconds);
    await delay(SETTLE_S * 1000);
    const pids = { asterisk, bridge: bridge.pid, sipp: sipp.pid, generator: generator.child.pid };
    const before = readParts(pids);
    await Promise.race([delay(seconds * 1000), bridge.died]);
    const after = readParts(pids);
    generator.hush();
    await delay(DRAIN_MS);
    const { up, down, latenessMs } = await generator.report();
    const shares = machineShares(before.machine, after.machine);
    const cpuPercent = mapParts(
      (part) => (after.cpuMs[part] - before.cpuMs[part]) / (after.atMs - before.atMs) / 0.01,
    );
    const report = { up, down, latenessMs };
    const refused = whyRefused(latenessMs, cpuPercent.generator);
    const fault = findFault(calls, callsUp, report, seconds);
    return { calls, callsUp, cpuPercent, ...shares, report, refused, fault };
  } finally {
    await sipp?.stop();
    await bridge.stop();
    await generator.child.stop();
  }
}

function mapParts(value: (part: Part) => number): Record<Part, number> {
  return {
    asterisk: value('asterisk'),
    bridge: value('bridge'),
    sipp: value('sipp'),
    generator: value('generator'),
  };
}

function readParts(pids: Record<Part, number>) {
  return {
    atMs: performance.now(),
    cpuMs: mapParts((part) => readUsage([pids[part]]).cpuMs),
    machine: readMachine(),
  };
}

function findFault(
  calls: number,
  callsUp: number,
  { up, down }: Step['report'],
  seconds: number,
): string | undefined {
  if (callsUp < calls) return `${calls - callsUp} calls had no audio`;
  const loss = 1 - (up.arrived + down.arrived) / Math.max(1, up.sent + down.sent);
  if (loss > LOSS_MAX) return `${(100 * loss).toFixed(2)} % of the frames were lost`;
  const gaps = ((up.gaps + down.gaps) / calls / seconds) * 60;
  if (gaps > GAPS_PER_CALL_MINUTE_MAX) return `${gaps.toFixed(1)} gaps a call and minute`;
  const { p99 = 0 } = down.pacingMs;
  if (p99 > PACING_P99_MAX_MS) return `the spacing of packets at the phone was off by ${ms(p99)} ms (p99)`;
  return undefined;
}

function describeStep(step: Step): string[] {
  const { calls, callsUp, cpuPercent, busyPercent, stealPercent, refused, fault } = step;
  const percent = (value: number) => `${value.toFixed(0)} %`;
  return [
    callsUp < calls ? `${calls} (${callsUp} up)` : String(calls),
    ...(refused === undefined ? describeSound(step.report) : ['refused', '', '', '', '']),
    ...[cpuPercent.asterisk, cpuPercent.bridge, cpuPercent.sipp, cpuPercent.generator].map(percent),
    ...[busyPercent, stealPercent].map(percent),
    refused === undefined ? (fault === undefined ? 'good' : 'suffers') : '?',
  ];
}

function describeSound({ up, down }: Step['report']): string[] {
  return [
    `${ms(up.latencyMs.p50)}/${ms(up.latencyMs.p99)}`,
    `${ms(down.latencyMs.p50)}/${ms(down.latencyMs.p99)}`,
    `${ms(down.pacingMs.p99)}/${ms(down.pacingMs.p999)}`,
    `${Math.max(0, up.sent - up.arrived)}+${Math.max(0, down.sent - down.arrived)}`,
    `${up.gaps}+${down.gaps}`,
  ];
}

/** What ended the stepping: the generator's lateness goes first, since then the sound cannot be judged. */
const problemOf = ({ refused, fault }: Step) => refused ?? fault;

/** Whose CPU ran out, as far as the figures tell. */
function whoRanOut({ busyPercent, cpuPercent }: Step): string {
  const parts = Object.entries(cpuPercent).sort(([, a], [, b]) => b - a);
  const list = parts.map(([part, percent]) => `${part} ${percent.toFixed(0)} %`).join(', ');
  if (cpuPercent.bridge > FULL_PERCENT) return `the bridge's core was full (of one core: ${list})`;
  if (busyPercent > FULL_PERCENT) return `the machine was full (of one core: ${list})`;
  return `no CPU was full, the machine ${busyPercent.toFixed(0)} % busy (of one core: ${list})`;
}

const seconds = Number(process.env.BENCH_SECONDS || 8);
const counts = (process.env.BENCH_STACK_CALLS || '25 50 100 150 200 250').split(/[\s,]+/).map(Number);
const asterisk = await findAsterisk();
const directory = await mkdtemp(join(tmpdir(), 'stack-'));
const steps: Step[] = [];
try {
  for (const calls of counts) {
    say(`${calls} calls through Asterisk, ${seconds} s …`);
    const step = await runStep(asterisk, calls, seconds, directory);
    steps.push(step);
    say(`  ${problemOf(step) ?? 'the sound is good'}`);
    if (problemOf(step) !== undefined) break;
    // Asterisk lets go of the last step's channels.
    await delay(1_000);
  }
} finally {
  await rm(directory, { recursive: true });
}
const heads = ['calls', 'up p50/p99', 'down p50/p99', 'pacing p99/p99.9', 'lost', 'gaps'];
const cpuHeads = ['asterisk', 'bridge', 'SIPp', 'load', 'machine', 'steal', 'sound'];
console.log('times in ms from phone to bot and back; CPU in % of one core, machine in % of all cores\n');
console.log(layOut([...heads, ...cpuHeads], steps.map(describeStep)));
const last = steps.at(-1);
const held = steps.filter((step) => problemOf(step) === undefined).at(-1)?.calls ?? 0;
console.log(`\ncalls held with good sound: ${held}`);
const problem = last && problemOf(last);
if (last && problem) console.log(`at ${last.calls}: ${problem}; ${whoRanOut(last)}`);
console.log(JSON.stringify({ stack: steps }));
