/**
 * One step of the stack bench: a number of calls through a real Asterisk, from a fresh bridge to
 * the last hang-up.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseSteps, startBridge } from './bridge.ts';
import { type Distribution, Generator, type GeneratorReport, whyRefused } from './generator.ts';
import { type Child, machineShares, readMachine, readUsage, startPinned } from './process.ts';
import { PORTS } from './programs.ts';
import { distribution, untilUp } from './run.ts';

/** How audio crosses between Asterisk and the bridge. */
export type Transport = 'rtp' | 'websocket';

/** What is to be done in a step. */
export interface StepOptions {
  readonly calls: number;
  /** Calls that SIPp begins in a second. */
  readonly rate: number;
  readonly transport: Transport;
  readonly mode: 'echo' | 'clear';
  /** Length of the window. */
  readonly seconds: number;
  /** MAX_CALLS of the bridge, if it is to be reached. */
  readonly maxCalls?: number;
  /** What is done beside the calls, from the beginning of the window. */
  readonly beside?: () => Promise<void>;
}

/** Where it is done: the cores of all, Asterisk's process, and a directory for SIPp's files. */
export interface Place {
  readonly cpus: string;
  readonly asterisk: number;
  readonly directory: string;
}

/** What a step found; CPU in % of one core. */
export interface Step extends StepOptions {
  readonly callsUp: number;
  readonly cpuPercent: Readonly<Record<Part, number>>;
  readonly busyPercent: number;
  readonly stealPercent: number;
  readonly report: Pick<GeneratorReport, 'up' | 'down' | 'clearMs' | 'seconds' | 'soundSeconds'>;
  /** From INVITE to 200, as SIPp saw it. */
  readonly answerMs: Distribution;
  /** From StasisStart to each step of set-up, by the bridge's own log. */
  readonly stepsMs: Readonly<Record<string, Distribution>>;
  /**
   * Why the audio figures are not valid: the generator was late, since it has no core of its own
   * here.
   */
  readonly refused: string | undefined;
  /** Why the sound was not good; `undefined` where it was. */
  readonly fault: string | undefined;
}

export type Part = 'asterisk' | 'bridge' | 'sipp' | 'generator';

/** Where all calls come from. */
export const PHONE_ADDRESS = '127.0.0.2';
/** The bench does not reach MAX_CALLS by itself. */
const SPARE_CALLS = 10;
const SIPP_PORT = 5080;
/** Longer than what a bot says before it clears. */
const SETTLE_S = 2;
const DRAIN_MS = 800;
const READY_MS = 20_000;
const RELEASE_MS = 4_000;
const POLL_MS = 50;
/** From its last call to the window's end SIPp waits longer than all else may take. */
const SLACK_S = 12;
/** What a listener does not notice. */
const LOSS_MAX = 0.001;
const GAPS_PER_CALL_MINUTE_MAX = 0.5;
const PACING_P99_MAX_MS = 10;

/** Runs one step. */
export async function runStep(options: StepOptions, place: Place): Promise<Step> {
  const { calls, mode, transport } = options;
  const generator = await Generator.start({
    cpus: place.cpus,
    calls,
    mode,
    callsPerSocket: 1,
    phoneAddress: PHONE_ADDRESS,
    botPort: PORTS.bot,
    phonePort: PORTS.phones,
  });
  let log = '';
  const bridge = startBridge({
    cpus: place.cpus,
    calls,
    ariPort: Number(process.env.ARI_PORT ?? 8088),
    botPort: PORTS.bot,
    httpPort: PORTS.http,
    rtpPort: PORTS.rtp,
    onLog: (chunk) => {
      log += chunk.toString();
    },
    environment: {
      ARI_USERNAME: process.env.ARI_USERNAME,
      ARI_PASSWORD: process.env.ARI_PASSWORD,
      MEDIA_TRANSPORT: transport,
      LOG_LEVEL: 'info',
      MAX_CALLS: String(options.maxCalls ?? calls + SPARE_CALLS),
    },
  });
  let sipp: Child | undefined;
  try {
    await ready(`http://127.0.0.1:${PORTS.http}/readyz`);
    sipp = await startSipp(options, place);
    const observed = await Promise.race([observe(options, place, generator, bridge, sipp), bridge.died]);
    await hangUpAll();
    // What both have written is whole when they are gone.
    await Promise.all([sipp.stop(), bridge.stop()]);
    const answerMs = await readAnswers(sipp.pid, place.directory);
    const steps = [...parseSteps(log)].map(([step, samples]) => [step, distribution(samples)] as const);
    return { ...options, ...observed, answerMs, stepsMs: Object.fromEntries(steps) };
  } finally {
    await sipp?.stop();
    await bridge.stop();
    await generator.child.stop();
  }
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
    await delay(POLL_MS);
  }
}

async function startSipp({ calls, rate, seconds }: StepOptions, place: Place): Promise<Child> {
  const lines = Array.from({ length: calls }, (_, call) => `${call};${PORTS.phones + 2 * call};`);
  const fields = join(place.directory, 'calls.csv');
  await writeFile(fields, `SEQUENTIAL\n${lines.join('\n')}\n`);
  const talkMs = Math.round((calls / rate + SETTLE_S + seconds + SLACK_S) * 1000);
  const scenario = new URL('../sipp/caller.xml', import.meta.url).pathname;
  const options = {
    sf: scenario,
    inf: fields,
    i: PHONE_ADDRESS,
    p: SIPP_PORT,
    m: calls,
    l: calls,
    r: rate,
    d: talkMs,
    rtt_freq: 1,
    cid_str: `%u-${process.pid}-${Date.now()}@%s`,
  };
  const words = Object.entries(options).flatMap(([name, value]) => [`-${name}`, String(value)]);
  const child = startPinned(
    place.cpus,
    ['sipp', `127.0.0.1:${process.env.SIP_PORT ?? 5060}`, '-nostdin', '-trace_rtt', ...words],
    { TERM: 'dumb' },
    place.directory,
  );
  child.process.stdout?.resume();
  return child;
}

/**
 * SIPp's times from INVITE to 200: a `date;ms;number` line each, in a file named after its scenario
 * and process.
 */
async function readAnswers(pid: number, directory: string): Promise<Distribution> {
  const file = (await readdir(directory)).find((name) => name.endsWith(`_${pid}_rtt.csv`));
  const text = file === undefined ? '' : await readFile(join(directory, file), 'utf8');
  const rows = text.split('\n').slice(1).filter(Boolean);
  return distribution(rows.map((row) => Number(row.split(';')[1])));
}

/**
 * Through ARI, so that the bridge sees each call end and no channel is left in Asterisk for the
 * next step.
 */
async function hangUpAll(): Promise<void> {
  const { ARI_USERNAME, ARI_PASSWORD, ARI_PORT = '8088' } = process.env;
  const authorization = `Basic ${btoa(`${ARI_USERNAME}:${ARI_PASSWORD}`)}`;
  const ask = (path: string, method = 'GET') =>
    fetch(`http://127.0.0.1:${ARI_PORT}/ari/channels${path}`, { method, headers: { authorization } });
  const list = async () => (await (await ask('')).json()) as { id: string; name: string }[];
  for (const { id, name } of await list())
    if (name.startsWith('PJSIP/')) await ask(`/${encodeURIComponent(id)}`, 'DELETE');
  const limitMs = performance.now() + RELEASE_MS;
  while ((await list()).length > 0 && performance.now() < limitMs) await delay(POLL_MS);
}

/** Waits for the calls, then for the window. */
async function observe(options: StepOptions, place: Place, generator: Generator, bridge: Child, sipp: Child) {
  const { calls, rate, seconds } = options;
  await delay((calls / rate) * 1000);
  const callsUp = await untilUp(generator, calls);
  generator.measure(SETTLE_S, seconds);
  await delay(SETTLE_S * 1000);
  const pids = {
    asterisk: place.asterisk,
    bridge: bridge.pid,
    sipp: sipp.pid,
    generator: generator.child.pid,
  };
  const before = readParts(pids);
  const beside = options.beside?.();
  await delay(seconds * 1000);
  const after = readParts(pids);
  await beside;
  generator.hush();
  await delay(DRAIN_MS);
  const full = await generator.report();
  const { up, down, clearMs, soundSeconds } = full;
  const cpuPercent = mapParts(
    (part) => (after.cpuMs[part] - before.cpuMs[part]) / (after.atMs - before.atMs) / 0.01,
  );
  return {
    callsUp,
    cpuPercent,
    ...machineShares(before.machine, after.machine),
    report: { up, down, clearMs, seconds: full.seconds, soundSeconds },
    refused: whyRefused(full, cpuPercent.generator),
    fault: findFault(options, callsUp, full),
  };
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
  { calls, mode }: StepOptions,
  callsUp: number,
  report: GeneratorReport,
): string | undefined {
  const { up, down, soundSeconds } = report;
  if (callsUp < calls) return `${calls - callsUp} calls had no audio`;
  // What a bot takes back is never heard.
  if (mode === 'clear') return undefined;
  if (soundSeconds === 0) return 'no second of the sound could be judged';
  const loss = 1 - (up.arrived + down.arrived) / Math.max(1, up.sent + down.sent);
  if (loss > LOSS_MAX) return `${(100 * loss).toFixed(2)} % of the frames were lost`;
  const gaps = ((up.gaps + down.gaps) / calls / Math.max(1, soundSeconds)) * 60;
  if (gaps > GAPS_PER_CALL_MINUTE_MAX) return `${gaps.toFixed(1)} gaps a call and minute`;
  const { p99 = 0 } = down.pacingMs;
  if (p99 > PACING_P99_MAX_MS)
    return `the spacing of packets at the phone was off by ${p99.toFixed(0)} ms (p99)`;
  return undefined;
}
