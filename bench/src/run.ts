/** One run: a number of calls through the bridge, or through the bare relay, for one window. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type CallTimes, StandInAri, wallMs } from './ari.ts';
import { type BridgeMetrics, readMetrics, startBridge } from './bridge.ts';
import {
  type Distribution,
  type Generator,
  type GeneratorReport,
  generatorUsage,
  loadPercent,
  type Mode,
  whyRefused,
} from './generator.ts';
import { type Load, type Options, subjectCpus } from './options.ts';
import { type Child, machineShares, readMachine, readUsage } from './process.ts';
import { PORTS, phoneOf, startGenerator, startRelays } from './programs.ts';

/** What one run found. `report` is absent if the generator was too late for valid figures. */
export interface RunResult {
  readonly subject: 'bridge' | 'bare relay';
  readonly mode: Mode;
  readonly calls: number;
  readonly workers: number;
  /** Calls that had audio both ways before the window. */
  readonly callsUp: number;
  readonly seconds: number;
  /** Of them, those that are in the report: in the others the generator was late. */
  readonly soundSeconds: number;
  readonly refused?: string;
  readonly report?: Pick<GeneratorReport, 'up' | 'down'>;
  /** CPU time of what was measured, all threads. */
  readonly cpuMsPerCallSecond: number;
  readonly cpuPercent: number;
  /** Resident set of the idle process, and at the end of the window. */
  readonly idleBytes: number;
  readonly residentBytes: number;
  readonly generatorPercent: number;
  readonly latenessMs: Distribution;
  readonly stealPercent: number;
  readonly setup?: SetupFigures;
  readonly gc?: { readonly before: BridgeMetrics; readonly after: BridgeMetrics; readonly seconds: number };
  /** Channels and bridges left behind in the stand-in Asterisk. */
  readonly leaked?: number;
  /** The window on CLOCK_MONOTONIC, in µs, for a profile. */
  readonly windowUs: readonly [number, number];
}

/** What became of calls that arrived fast, each for a short time. */
export interface ArrivalResult {
  readonly calls: number;
  readonly callsUp: number;
  readonly rate: number;
  /** At once. */
  readonly callsMax: number;
  readonly setup: SetupFigures;
  readonly leaked: number;
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

/** New calls a second, where it is not about set-up. */
const RATE = 100;
/** How long a call of the arrival run stays. */
const STAY_S = 4;
const SETTLE_S = 1.5;
const DRAIN_MS = 800;
const SPURT_S = 2;
/** How long the last calls may take to come up, or to be released. */
const CALLS_LIMIT_MS = 8_000;
const READY_LIMIT_MS = 15_000;
const IDLE_MS = 700;
const POLL_MS = 100;
/** What a run takes beside its window, and per call. */
const OVERHEAD_S = 5.5;
const RELEASE_S_PER_CALL = 0.0025;

/** Longer than a spurt of the bots. */
const settleSeconds = (mode: Mode) => SETTLE_S + (mode === 'echo' ? 0 : 1);
const drainMs = (mode: Mode) => DRAIN_MS + (mode === 'echo' ? 0 : SPURT_S * 1000);

/** What a run takes, about. */
export function runSeconds(calls: number, mode: Mode, seconds: number): number {
  const extra = mode === 'echo' ? 0 : SPURT_S + 1;
  return OVERHEAD_S + extra + seconds + calls * (1 / RATE + RELEASE_S_PER_CALL);
}

/** A bridge between a stand-in Asterisk and the generator. */
interface Rig {
  readonly generator: Generator;
  readonly ari: StandInAri;
  readonly bridge: Child;
}

/** Builds the rig, has `work` done with it, and takes it down. */
async function withRig<T>(
  options: Options,
  load: Load,
  mode: Mode,
  work: (rig: Rig) => Promise<T>,
  profileDirectory?: string,
): Promise<T> {
  const { calls, workers } = load;
  const generator = await startGenerator(calls, mode);
  const ari = await StandInAri.start(PORTS.ari, phoneOf, {
    onMediaPort: (call, port) => generator.peer(call, port),
    onJoined: (call) => generator.startCall(call),
  });
  const bridge = startBridge({
    cpus: subjectCpus(load, options.cores),
    calls,
    ariPort: PORTS.ari,
    botPort: PORTS.bot,
    httpPort: PORTS.http,
    rtpPort: PORTS.rtp,
    ...(profileDirectory === undefined ? {} : { profileDirectory }),
    environment: { MEDIA_WORKERS: String(workers) },
  });
  try {
    await within(READY_LIMIT_MS, 'the bridge does not connect to ARI', [ari.connected, bridge.died]);
    await delay(IDLE_MS);
    const result = await Promise.race([work({ generator, ari, bridge }), bridge.died]);
    // What it then does all the time would be measured as the cost of calls.
    if (ari.connections > 1) throw new Error(`the bridge connected to Asterisk ${ari.connections} times`);
    return result;
  } finally {
    await bridge.stop();
    await ari.close();
    await generator.child.stop();
  }
}

/** The bridge under load. */
export function runBridge(
  options: Options,
  load: Load,
  mode: Mode,
  profileDirectory?: string,
): Promise<RunResult> {
  const { calls, workers } = load;
  const work = async ({ generator, ari, bridge }: Rig): Promise<RunResult> => {
    const idleBytes = readUsage([bridge.pid]).residentBytes;
    await placeCalls(ari, calls, RATE);
    const callsUp = await untilUp(generator, calls);
    const before = await readMetrics(PORTS.http);
    const beforeMs = performance.now();
    const window = await observe(generator, [bridge.pid], options.seconds, mode);
    const after = await readMetrics(PORTS.http);
    const gc = { before, after, seconds: (performance.now() - beforeMs) / 1000 };
    await hangUpAll(ari, calls);
    const leaked = await untilReleased(ari);
    const report = await generator.report();
    return {
      subject: 'bridge',
      mode,
      calls,
      workers,
      callsUp,
      leaked,
      gc,
      idleBytes,
      ...judge(report, window, calls),
      setup: setupFigures(ari.times, report),
    };
  };
  return withRig(options, load, mode, work, profileDirectory);
}

/** Calls that arrive fast and stay for a short time: is each set up, and how soon? */
export function runArrivals(options: Options): Promise<ArrivalResult> {
  const { arrivalRate: rate, arrivalSeconds } = options;
  const calls = rate * arrivalSeconds;
  return withRig(options, { calls, workers: 1 }, 'echo', async ({ generator, ari }) => {
    await placeCalls(ari, calls, rate, (call) => {
      const leave = () => {
        generator.stopCall(call);
        ari.hangUp(call);
      };
      setTimeout(leave, STAY_S * 1000);
    });
    await delay(STAY_S * 1000);
    const leaked = await untilReleased(ari);
    const report = await generator.report();
    const callsUp = report.firstUpMs.filter((first, call) => first && report.firstDownMs[call]).length;
    const setup = setupFigures(ari.times, report);
    return { calls, callsUp, rate, callsMax: Math.min(calls, rate * STAY_S), setup, leaked };
  });
}

/** The limit: the bare relay under load, one for each worker. `faults` make it faulty: a test. */
export async function runRelay(
  options: Options,
  load: Load,
  mode: Mode,
  faults: readonly string[] = [],
): Promise<RunResult> {
  const { calls, workers } = load;
  const generator = await startGenerator(calls, mode);
  const relays = startRelays(load, options.cores, faults);
  const pids = relays.map(({ pid }) => pid);
  const died = Promise.race(relays.map((relay) => relay.died));
  died.catch(() => {});
  try {
    const ready = Promise.all(relays.map(({ process }) => process.stdout && once(process.stdout, 'data')));
    await within(READY_LIMIT_MS, 'the bare relay does not start', [ready, died]);
    const idleBytes = readUsage(pids).residentBytes;
    for (let call = 0; call < calls; call++) {
      generator.peer(call, PORTS.rtp + 2 * call);
      generator.startCall(call);
    }
    const callsUp = await untilUp(generator, calls);
    const window = await Promise.race([observe(generator, pids, options.seconds, mode), died]);
    const report = await generator.report();
    const what = { subject: 'bare relay', mode, calls, workers, callsUp, idleBytes } as const;
    return { ...what, ...judge(report, window, calls) };
  } finally {
    await Promise.all(relays.map((relay) => relay.stop()));
    await generator.child.stop();
  }
}

/** Offers the calls at the rate asked for. */
async function placeCalls(
  ari: StandInAri,
  calls: number,
  rate: number,
  onOffered: (call: number) => void = () => {},
): Promise<void> {
  const startMs = wallMs();
  for (let call = 0; call < calls; await delay(5)) {
    const due = Math.min(calls, 1 + Math.floor(((wallMs() - startMs) * rate) / 1000));
    for (; call < due; call++) {
      ari.offer(call);
      onOffered(call);
    }
  }
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

async function hangUpAll(ari: StandInAri, calls: number): Promise<void> {
  for (let call = 0; call < calls; call++) {
    ari.hangUp(call);
    if (call % 4 === 3) await delay(10);
  }
}

/** Resolves with what the bridge has not released in time. */
async function untilReleased(ari: StandInAri): Promise<number> {
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
  generator.measure(settleSeconds(mode), seconds);
  await delay(settleSeconds(mode) * 1000);
  const before = readAll();
  await delay(seconds * 1000);
  const after = readAll();
  generator.hush();
  await delay(drainMs(mode));
  return {
    seconds: (after.subject.atMs - before.subject.atMs) / 1000,
    cpuMs: after.subject.cpuMs - before.subject.cpuMs,
    residentBytes: after.subject.residentBytes,
    generatorPercent: loadPercent(before.load[0], after.load[0]) + loadPercent(before.load[1], after.load[1]),
    stealPercent: machineShares(before.machine, after.machine).stealPercent,
    windowUs: [before.us, after.us],
  };
}

function judge(report: GeneratorReport, window: Window, calls: number) {
  const { up, down, latenessMs, soundSeconds } = report;
  const refused = whyRefused(report, window.generatorPercent);
  return {
    ...(refused === undefined ? { report: { up, down } } : { refused }),
    seconds: report.seconds,
    soundSeconds,
    latenessMs,
    cpuMsPerCallSecond: window.cpuMs / calls / window.seconds,
    cpuPercent: window.cpuMs / window.seconds / 10,
    residentBytes: window.residentBytes,
    generatorPercent: window.generatorPercent,
    stealPercent: window.stealPercent,
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
    : { n: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) };
}

async function within(limitMs: number, what: string, steps: readonly Promise<unknown>[]): Promise<void> {
  const abort = new AbortController();
  const limit = delay(limitMs, undefined, { signal: abort.signal }).then(() => {
    throw new Error(what);
  });
  limit.catch(() => {});
  await Promise.race([...steps, limit]).finally(() => abort.abort());
}
