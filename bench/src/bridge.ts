/** The real bridge, `node src/main.ts`, as one run of the bench starts it. */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startPinned } from './process.ts';

/** Directory of the bridge's sources. */
const BRIDGE = process.env.BENCH_BRIDGE_DIR ?? new URL('../../bridge', import.meta.url).pathname;

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
  /** Its log, as it comes; at level `info` there are two lines a call. */
  readonly onLog?: (chunk: Buffer) => void;
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
      // The bench looks for the load at which the sound suffers.
      OVERLOAD_LOOP_MS: '0',
      OVERLOAD_LATE_PERCENT: '0',
      RECORDS_DIR: join(tmpdir(), 'bench-records'),
      ...(environment as Record<string, string>),
    },
    BRIDGE,
  );
  // Whatever it warns of must not fill the pipe.
  child.process.stdout?.on('data', options.onLog ?? (() => {}));
  return child;
}

/** The figures of the bridge's own metrics that a run compares. */
export interface BridgeMetrics {
  /** Of the threads that carry audio. */
  readonly mediaGc: Collections & { readonly longestMs: number };
  /** Of the control thread. */
  readonly controlGc: Collections;
  readonly skippedFrames: number;
}

/** Garbage collections since the start. */
export interface Collections {
  readonly count: number;
  readonly totalMs: number;
}

/** Reads `/metrics`. */
export async function readMetrics(httpPort: number): Promise<BridgeMetrics> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  return parseMetrics(await response.text());
}

/** Picks our figures from the Prometheus text, added up over labels. Pure. */
export function parseMetrics(text: string): BridgeMetrics {
  const sums = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name = '', number = ''] = /^([\w:]+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    sums.set(name, (sums.get(name) ?? 0) + Number(number));
  }
  const sum = (name: string) => sums.get(name) ?? 0;
  return {
    mediaGc: {
      count: sum('pipecat_bridge_media_gc_pauses_total'),
      totalMs: sum('pipecat_bridge_media_gc_pause_seconds_total') * 1000,
      longestMs: sum('pipecat_bridge_media_gc_longest_seconds') * 1000,
    },
    controlGc: {
      count: sum('nodejs_gc_duration_seconds_count'),
      totalMs: sum('nodejs_gc_duration_seconds_sum') * 1000,
    },
    skippedFrames: sum('pipecat_bridge_pacer_skipped_frames_total'),
  };
}

/**
 * Set-up of a call from the bridge's own log: ms from the offer to each step, and by step over all
 * calls. Pure.
 */
export function parseSteps(log: string): Map<string, number[]> {
  const samples = new Map<string, number[]>();
  for (const line of log.split('\n')) {
    if (!line.includes('"stepsMs"')) continue;
    const { stepsMs } = JSON.parse(line) as { stepsMs: Record<string, number> };
    for (const [step, ms] of Object.entries(stepsMs)) {
      const sofar = samples.get(step) ?? [];
      samples.set(step, sofar);
      sofar.push(ms);
    }
  }
  return samples;
}
