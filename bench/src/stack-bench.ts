/**
 * The stack bench: real Asterisk, the bridge, SIPp for the signalling. The load generator sends the
 * audio of phones and bots; its marked frames pass through everything. First both transports
 * between Asterisk and the bridge are compared, then calls are added until the audio degrades. Must
 * run where Asterisk's network and processes are visible.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findAsterisk } from './process.ts';
import { type Place, runStep, type Step, type StepOptions, type Transport } from './stack-run.ts';
import { layOut, lost, ms } from './table.ts';

const TRANSPORTS: readonly Transport[] = ['rtp', 'websocket'];
/** Side by side: few calls, begun slowly, so that each is set up on an idle machine. */
const COMPARED = { calls: 30, rate: 10 };
const RATE = 25;
const FULL_PERCENT = 90;
/** What a step takes beside its window and the beginning of its calls. */
const OVERHEAD_S = 7;
/** Asterisk lets go of the last step's channels. */
const PAUSE_MS = 500;

const startedMs = performance.now();
const seconds = Number(process.env.BENCH_SECONDS || 4);
const counts = (process.env.BENCH_STACK_CALLS || '50 100 150 200 300 400').split(/[\s,]+/).map(Number);
const limitSeconds = Number(process.env.BENCH_LIMIT_SECONDS || 95);

function say(text: string): void {
  console.error(`[${String(Math.round((performance.now() - startedMs) / 1000)).padStart(3)}s] ${text}`);
}

/**
 * Why no more calls were added. The generator's lateness comes first, since the audio cannot be
 * judged then.
 */
const problemOf = ({ refused, fault }: Step) => refused ?? fault;

async function tryStep(options: StepOptions, place: Place): Promise<Step | undefined> {
  const { calls, rate, transport, mode } = options;
  const left = limitSeconds - (performance.now() - startedMs) / 1000;
  const what = `${calls} calls through Asterisk over ${transport}, ${mode}`;
  if (left < calls / rate + seconds + OVERHEAD_S) {
    say(`${what}: left out, it does not fit into ${limitSeconds} s`);
    return undefined;
  }
  say(`${what}, ${seconds} s …`);
  const step = await runStep(options, place);
  say(`  ${problemOf(step) ?? 'the sound is good'}`);
  await delay(PAUSE_MS);
  return step;
}

/** Each transport in turn, twice, so that a machine whose speed drifts does not favour one. */
async function compare(place: Place): Promise<Step[]> {
  const steps: Step[] = [];
  for (const mode of ['echo', 'clear'] as const)
    for (const transport of TRANSPORTS) {
      const step = await tryStep({ ...COMPARED, transport, mode, seconds }, place);
      if (step !== undefined) steps.push(step);
    }
  return steps;
}

/**
 * Adds calls until the audio degrades twice at the same number (a virtual machine may stand still),
 * or until the time is over.
 */
async function climb(place: Place): Promise<Step[]> {
  const steps: Step[] = [];
  for (const calls of counts) {
    const options = { calls, rate: RATE, transport: 'rtp', mode: 'echo', seconds } as const;
    let step = await tryStep(options, place);
    if (step?.fault !== undefined) step = (await tryStep(options, place)) ?? step;
    if (step === undefined) break;
    steps.push(step);
    if (step.fault !== undefined) break;
  }
  return steps;
}

const two = (distribution: { p50?: number; p95?: number; p99?: number }, high: 'p95' | 'p99') =>
  `${ms(distribution.p50)}/${ms(distribution[high])}`;
const percent = (value: number) => `${value.toFixed(0)} %`;

function comparison(steps: readonly Step[]): string {
  const rows = TRANSPORTS.flatMap((transport) => {
    const [echo, clear] = ['echo', 'clear'].map((mode) =>
      steps.find((step) => step.transport === transport && step.mode === mode),
    );
    if (echo === undefined) return [];
    const { up, soundSeconds, seconds } = echo.report;
    const cost = (part: 'asterisk' | 'bridge') => ((echo.cpuPercent[part] * 10) / echo.calls).toFixed(2);
    // Bots that pause: an echo without a pause keeps what a hiccup has once put into the queue.
    const { down, clearMs } = clear?.report ?? {};
    return [
      [
        transport,
        two(echo.answerMs, 'p95'),
        two(up.latencyMs, 'p99'),
        two(down?.latencyMs ?? {}, 'p99'),
        `${two(clearMs ?? {}, 'p99')}/${ms(clearMs?.max)}`,
        cost('bridge'),
        cost('asterisk'),
        `${soundSeconds}/${seconds}`,
      ],
    ];
  });
  const latencies = ['INVITE to 200 p50/p95', 'phone to bot p50/p99', 'bot to phone p50/p99'];
  return layOut(
    ['transport', ...latencies, 'clear p50/p99/max', 'bridge CPU', 'Asterisk CPU', 'judged'],
    rows,
  );
}

/** Each step of set-up from StasisStart, by transport. */
function setupSteps(steps: readonly Step[]): string {
  const rows = steps
    .filter(({ mode }) => mode === 'echo')
    .map(({ transport, stepsMs }) => [
      transport,
      Object.entries(stepsMs)
        .sort(([, a], [, b]) => (a.p50 ?? 0) - (b.p50 ?? 0))
        .map(([step, times]) => `${step} ${two(times, 'p95')}`)
        .join(', '),
    ]);
  return rows.map(([transport, text]) => `${transport}: ${text}`).join('\n');
}

function describeStep(step: Step): string[] {
  const { calls, callsUp, cpuPercent, busyPercent, stealPercent, refused, fault, report } = step;
  const { up, down, soundSeconds } = report;
  const sound = [
    two(up.latencyMs, 'p99'),
    two(down.latencyMs, 'p99'),
    `${ms(down.pacingMs.p99)}/${ms(down.pacingMs.p999)}`,
    `${lost(up)}+${lost(down)}`,
    `${up.gaps}+${down.gaps}`,
  ];
  return [
    callsUp < calls ? `${calls} (${callsUp} up)` : String(calls),
    ...(refused === undefined ? sound : ['refused', '', '', '', '']),
    `${soundSeconds}/${report.seconds}`,
    ...[cpuPercent.asterisk, cpuPercent.bridge, cpuPercent.sipp, cpuPercent.generator].map(percent),
    ...[busyPercent, stealPercent].map(percent),
    refused === undefined ? (fault === undefined ? 'good' : 'suffers') : '?',
  ];
}

/** Whose CPU ran out, as far as the figures tell. */
function whoRanOut({ busyPercent, cpuPercent }: Step): string {
  const parts = Object.entries(cpuPercent).sort(([, a], [, b]) => b - a);
  const list = parts.map(([part, value]) => `${part} ${percent(value)}`).join(', ');
  if (busyPercent > FULL_PERCENT) return `the machine was full (of one core: ${list})`;
  if (cpuPercent.bridge > FULL_PERCENT)
    return `one core's worth of the bridge was full (of one core: ${list})`;
  return `no CPU was full, the machine ${percent(busyPercent)} busy (of one core: ${list})`;
}

function conclude(steps: readonly Step[]): string {
  const held = steps.filter((step) => problemOf(step) === undefined).at(-1);
  const unjudged = steps.filter(({ refused }) => refused !== undefined).map(({ calls }) => calls);
  const end = steps.find(({ fault }) => fault !== undefined);
  return [
    `calls held with good sound: ${held?.calls ?? 0}`,
    ...(unjudged.length > 0 ? [`not judged, the generator was late: ${unjudged.join(', ')}`] : []),
    ...(end ? [`at ${end.calls}: ${end.fault}; ${whoRanOut(end)}`] : ['the end was not reached']),
  ].join('\n');
}

const directory = await mkdtemp(join(tmpdir(), 'stack-'));
try {
  const place = { cpus: `0-${cpus().length - 1}`, asterisk: findAsterisk(), directory };
  const compared = await compare(place);
  const steps = await climb(place);
  const heads = ['calls', 'up p50/p99', 'down p50/p99', 'pacing p99/p99.9', 'lost', 'gaps', 'judged'];
  const cpuHeads = ['asterisk', 'bridge', 'SIPp', 'load', 'machine', 'steal', 'sound'];
  console.log('both ways to Asterisk; times in ms, CPU in ms per call and second\n');
  console.log(`${comparison(compared)}\n\nset-up from StasisStart, ms p50/p95\n${setupSteps(compared)}`);
  console.log('\nover rtp; times in ms, CPU in % of one core, machine in % of all cores\n');
  console.log(`${layOut([...heads, ...cpuHeads], steps.map(describeStep))}\n\n${conclude(steps)}`);
  console.log(JSON.stringify({ compared, stack: steps }));
} finally {
  await rm(directory, { recursive: true });
}
