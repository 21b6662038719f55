/** The real bridge, `node src/main.ts`, as one run of the bench starts it. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type Child, startPinned } from './process.ts';

/** Directory of the bridge's sources. */
const BRIDGE = process.env.BENCH_BRIDGE_DIR ?? new URL('../../bridge', import.meta.url).pathname;
/** Lets a Node that was built without it run TypeScript. */
const TYPESCRIPT = '/usr/local/lib/node-typescript/register.mjs';

/** Ports and limits of a run. */
export interface BridgeOptions {
  readonly cpus: string;
  readonly calls: number;
  readonly ariPort: number;
  readonly botPort: number;
  readonly rtpPort: number;
  readonly httpPort: number;
  /** Directory for a CPU profile; undefined: none is taken. */
  readonly profileDirectory?: string;
  /** Settings beside or instead of those. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Starts it. Settings of the bridge in our own environment (such as MEDIA_WORKERS) hold. */
export function startBridge(options: BridgeOptions): Child {
  const { cpus, calls, ariPort, botPort, rtpPort, httpPort, profileDirectory, environment = {} } = options;
  const own = Object.entries(process.env).filter(([name]) => /^(MEDIA|PLAYOUT|BOT|DEFAULT|NODE)_/.test(name));
  const child = startPinned(
    cpus,
    [
      process.execPath,
      // As its image starts it.
      '--max-semi-space-size=2',
      ...(existsSync(TYPESCRIPT) ? [`--import=${TYPESCRIPT}`] : []),
      ...(profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`]),
      'src/main.ts',
    ],
    {
      ...(Object.fromEntries(own) as Record<string, string>),
      ARI_URL: `http://127.0.0.1:${ariPort}`,
      ARI_USERNAME: 'bench',
      ARI_PASSWORD: randomBytes(16).toString('hex'),
      PIPECAT_URL: `ws://127.0.0.1:${botPort}/`,
      RTP_PORT_MIN: String(rtpPort),
      RTP_PORT_MAX: String(rtpPort + 5_999),
      HTTP_PORT: String(httpPort),
      MAX_CALLS: String(calls + 10),
      LOG_LEVEL: 'warn',
      ...(environment as Record<string, string>),
    },
    BRIDGE,
  );
  // Whatever it warns of must not fill the pipe.
  child.process.stdout?.resume();
  return child;
}

/** The figures of the bridge's own metrics that a run compares. */
export interface BridgeMetrics {
  readonly gcCount: number;
  readonly gcMs: number;
  /** Collections by upper limit of their duration in ms. */
  readonly gcByLimitMs: Readonly<Record<string, number>>;
  readonly skippedFrames: number;
}

/** Reads `/metrics`. */
export async function readMetrics(httpPort: number): Promise<BridgeMetrics> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  return parseMetrics(await response.text());
}

/** Picks our figures from the Prometheus text. Pure. */
export function parseMetrics(text: string): BridgeMetrics {
  const sums = { gcCount: 0, gcMs: 0, skippedFrames: 0 };
  const gcByLimitMs: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const [, name = '', labels = '', number = ''] = /^([\w:]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const value = Number(number);
    if (name === 'nodejs_gc_duration_seconds_count') sums.gcCount += value;
    if (name === 'nodejs_gc_duration_seconds_sum') sums.gcMs += value * 1000;
    if (name === 'pipecat_bridge_pacer_skipped_frames') sums.skippedFrames += value;
    if (name !== 'nodejs_gc_duration_seconds_bucket') continue;
    const limit = /le="([^"]+)"/.exec(labels)?.[1] ?? '';
    const key = limit === '+Inf' ? limit : String(Number(limit) * 1000);
    gcByLimitMs[key] = (gcByLimitMs[key] ?? 0) + value;
  }
  return { ...sums, gcByLimitMs };
}

/** The smallest bucket that holds every collection between two readings, as `≤ 1 ms`; `none` without any. */
export function longestGc(before: BridgeMetrics, after: BridgeMetrics): string {
  const total = after.gcCount - before.gcCount;
  if (total === 0) return 'none';
  const limits = Object.keys(after.gcByLimitMs).sort(
    (a, b) => Number(a.replace('+Inf', 'Infinity')) - Number(b.replace('+Inf', 'Infinity')),
  );
  const within = limits.find(
    (limit) => (after.gcByLimitMs[limit] ?? 0) - (before.gcByLimitMs[limit] ?? 0) >= total,
  );
  return within === undefined || within === '+Inf' ? 'over the last bucket' : `≤ ${within} ms`;
}
