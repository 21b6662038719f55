/** One run: so many calls through the bridge, or through the bare relay, for one window. */
import { setTimeout as delay } from 'node:timers/promises';
import { type CallTimes, StandInAri, wallMs } from './ari.ts';
import { type BridgeMetrics, readMetrics, startBridge } from './bridge.ts';
import {
  type Distribution,
  Generator,
  type GeneratorReport,
  generatorUsage,
  loadPercent,
  type Mode,
  whyRefused,
} from './generator.ts';
import type { Options } from './options.ts';
import { machineShares, readMachine, readUsage, startPinned } from './process.ts';

/** What one run found. `report` is absent where the generator was too late for it to mean anything. */
export interface RunResult {
  readonly subject: 'bridge' | 'bare relay';
  readonly mode: Mode;
  readonly calls: number;
  /** Calls that had audio both ways before the window. */
  readonly callsUp: number;
  readonly seconds: number;
  readonly refused?: string;
  readonly report?: Omit<GeneratorReport, 'firstUpMs' | 'firstDownMs'>;
  /** CPU time of what was measured, all threads. */
  readonly cpuMsPerCallSecond: number;
  readonly cpuPercent: number;
  /** Growth of the resident set from the idle process to the end of the window. */
  readonly memoryKbPerCall: number;
  readonly generatorPercent: number;
  readonly latenessMs: Distribution;
  readonly stealPercent: number;
  readonly setup?: SetupFigures;
  readonly gc?: { readonly before: BridgeMetrics; readonly after: BridgeMetrics };
  /** Channels and bridges left behind in the stand-in Asterisk. */
  readonly leaked?: number;
  /** The window on CLOCK_MONOTONIC, in µs, for a profile. */
  readonly windowUs: readonly [number, number];
}

/** From StasisStart, over all calls. */
export interface SetupFigures {
  readonly answeredMs: Distribution;
  readonly joinedMs: Distribution;
  /** First packet of the caller at the bot. */
  readonly firstUpMs: Distribution;
  /** First packet with the bot's audio at the caller: in echo it includes the pre-buffer. */
  readonly firstDownMs: Distribution;
}

/** Ports, all on loopback. */
export const PORTS = { ari: 21_088, bot: 21_080, http: 21_090, phones: 21_100, rtp: 40_000 } as const;

const CALLS_PER_SOCKET = 16;
/** Longer than a spurt of the bots. */
const SETTLE_S = 2.5;
const DRAIN_MS = 1_000;
const SPURT_MS = 2_000;
/** How long the last calls may take to come up, or to be released. */
const CALLS_LIMIT_MS = 8_000;
const READY_LIMIT_MS = 15_000;
const IDLE_MS = 700;
const POLL_MS = 100;

const phonePort = (call: number) => PORTS.phones + 2 * Math.floor(call / CALLS_PER_SOCKET);

/** The bridge under `calls` calls. */
export async function runBridge(
  options: Options,
  calls: number,
  mode: Mode,
  profileDirectory?: string,
): Promise<RunResult> {
  const generator = await startGenerator(options, calls, mode);
  const ari = await StandInAri.start(PORTS.ari, phonePort, {
    onMediaPort: (call, port) => generator.peer(call, port),
    onJoined: (call) => generator.startCall(call),
  });
  const bridge = startBridge({
    ...{ cpus: options.subjectCpus, calls },
    ...{ ariPort: PORTS.ari, botPort: PORTS.bot, httpPort: PORTS.http, rtpPort: PORTS.rtp },
    ...(profileDirectory === undefined ? {} : { profileDirectory }),
  });
  try {
    await within(READY_LIMIT_MS, 'the bridge does not connect to ARI', [ari.connected, bridge.died]);
    await delay(IDLE_MS);
    const idleBytes = readUsage([bridge.pid]).residentBytes;
    const callsUp = await Promise.race([placeCalls(generator, ari, calls, options.rate), bridge.died]);
    const before = await readMetrics(PORTS.http);
    const window = await Promise.race([observe(generator, [bridge.pid], options.seconds, mode), bridge.died]);
    const after = await readMetrics(PORTS.http);
    const leaked = await releaseCalls(ari, calls);
    const report = await generator.report();
    return {
      ...{ subject: 'bridge', mode, calls, callsUp, leaked, gc: { before, after } },
      ...judge(report, window, calls, idleBytes),
      setup: setupFigures(ari.times, report),
    };
  } finally {
    await bridge.stop();
    await ari.close();
    await generator.child.stop();
  }
}

/** The bare relay under `calls` calls: the limit. `faults` are options that make it faulty, to try the meter. */
export async function runRelay(
  options: Options,
  calls: number,
  mode: Mode,
  faults: readonly string[] = [],
): Promise<RunResult> {
  const generator = await startGenerator(options, calls, mode);
  const relay = startPinned(options.subjectCpus, [
    process.env.BENCH_RELAY ?? 'relay',
    ...['--calls', `${calls}`, '--calls-per-socket', `${CALLS_PER_SOCKET}`, '--bot-port', `${PORTS.bot}`],
    ...['--phone-port', `${PORTS.phones}`, '--rtp-port', `${PORTS.rtp}`],
    ...faults,
  ]);
  try {
    const ready = new Promise((resolve) => relay.process.stdout?.once('data', resolve));
    await within(READY_LIMIT_MS, 'the bare relay does not start', [ready, relay.died]);
    const idleBytes = readUsage([relay.pid]).residentBytes;
    for (let call = 0; call < calls; call++) {
      generator.peer(call, PORTS.rtp + 2 * call);
      generator.startCall(call);
    }
    const callsUp = await untilUp(generator, calls);
    const window = await Promise.race([observe(generator, [relay.pid], options.seconds, mode), relay.died]);
    const report = await generator.report();
    return { subject: 'bare relay', mode, calls, callsUp, ...judge(report, window, calls, idleBytes) };
  } finally {
    await relay.stop();
    await generator.child.stop();
  }
}

function startGenerator(options: Options, calls: number, mode: Mode): Promise<Generator> {
  return Generator.start({
    ...{ cpus: options.loadCpus, calls, mode, callsPerSocket: CALLS_PER_SOCKET },
    ...{ botPort: PORTS.bot, phonePort: PORTS.phones },
  });
}

/** Offers the calls at the rate asked for; resolves with how many came up in time. */
async function placeCalls(
  generator: Generator,
  ari: StandInAri,
  calls: number,
  rate: number,
): Promise<number> {
  const startMs = wallMs();
  for (let call = 0; call < calls; ) {
    const due = Math.min(calls, 1 + Math.floor(((wallMs() - startMs) * rate) / 1000));
    while (call < due) ari.offer(call++);
    await delay(5);
  }
  return await untilUp(generator, calls);
}

/** Waits until all calls have audio both ways, or long enough; resolves with how many have. */
export async function untilUp(generator: Generator, calls: number): Promise<number> {
  const limitMs = performance.now() + CALLS_LIMIT_MS;
  for (;;) {
    const { up, down } = await generator.status();
    const callsUp = Math.min(up, down);
    if (callsUp === calls || performance.now() > limitMs) return callsUp;
    await delay(POLL_MS);
  }
}

/** Hangs all calls up; resolves with what the bridge has not released in time. */
async function releaseCalls(ari: StandInAri, calls: number): Promise<number> {
  for (let call = 0; call < calls; call++) {
    ari.hangUp(call);
    if (call % 4 === 3) await delay(10);
  }
  const limitMs = performance.now() + CALLS_LIMIT_MS;
  while (ari.held > 0 && performance.now() < limitMs) await delay(POLL_MS);
  return ari.held;
}

interface Window {
  readonly seconds: number;
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly generatorPercent: number;
  readonly stealPercent: number;
  readonly windowUs: readonly [number, number];
}

const monotonicUs = () => Number(process.hrtime.bigint() / 1000n);

/** The window, and the silence after it in which what is under way arrives. */
async function observe(
  generator: Generator,
  pids: readonly number[],
  seconds: number,
  mode: Mode,
): Promise<Window> {
  const readAll = () => ({
    subject: readUsage(pids),
    // We are on the generator's core too.
    load: [generatorUsage(generator), readUsage([process.pid])] as const,
    machine: readMachine(),
    us: monotonicUs(),
  });
  generator.measure(SETTLE_S, seconds);
  await delay(SETTLE_S * 1000);
  const before = readAll();
  await delay(seconds * 1000);
  const after = readAll();
  generator.hush();
  await delay(DRAIN_MS + (mode === 'echo' ? 0 : SPURT_MS));
  return {
    seconds: (after.subject.atMs - before.subject.atMs) / 1000,
    cpuMs: after.subject.cpuMs - before.subject.cpuMs,
    residentBytes: after.subject.residentBytes,
    generatorPercent: loadPercent(before.load[0], after.load[0]) + loadPercent(before.load[1], after.load[1]),
    stealPercent: machineShares(before.machine, after.machine).stealPercent,
    windowUs: [before.us, after.us],
  };
}

function judge(report: GeneratorReport, window: Window, calls: number, idleBytes: number) {
  const { up, down, latenessMs } = report;
  const refused = whyRefused(latenessMs, window.generatorPercent);
  return {
    ...(refused === undefined ? { report: { up, down, latenessMs } } : { refused }),
    seconds: window.seconds,
    cpuMsPerCallSecond: window.cpuMs / calls / window.seconds,
    cpuPercent: window.cpuMs / window.seconds / 10,
    memoryKbPerCall: (window.residentBytes - idleBytes) / 1000 / calls,
    generatorPercent: window.generatorPercent,
    stealPercent: window.stealPercent,
    latenessMs,
    windowUs: window.windowUs,
  };
}

function setupFigures(times: readonly CallTimes[], report: GeneratorReport): SetupFigures {
  const since = (reached: (call: number) => number | undefined) =>
    distribution(
      times.flatMap(({ offeredMs = 0 }, call) => {
        const atMs = reached(call);
        return atMs ? [atMs - offeredMs] : [];
      }),
    );
  return {
    answeredMs: since((call) => times[call]?.answeredMs),
    joinedMs: since((call) => times[call]?.joinedMs),
    firstUpMs: since((call) => report.firstUpMs[call]),
    firstDownMs: since((call) => report.firstDownMs[call]),
  };
}

/** The distribution of samples in ms. Pure. */
export function distribution(samples: readonly number[]): Distribution {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return sorted.length === 0
    ? { n: 0 }
    : { n: sorted.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}

async function within(limitMs: number, what: string, steps: readonly Promise<unknown>[]): Promise<void> {
  const abort = new AbortController();
  const limit = delay(limitMs, undefined, { signal: abort.signal }).then(() => {
    throw new Error(what);
  });
  limit.catch(() => {});
  await Promise.race([...steps, limit]).finally(() => abort.abort());
}
