/** Results as text for people. Pure. */
import type { Distribution, WayFigures } from './generator.ts';
import type { ArrivalResult, RunResult, SetupFigures } from './run.ts';

/** Columns under their heads; numbers to the right. */
export function layOut(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(heads), ...rows.map(line)].join('\n');
}

/** Of fewer calls the growth of the process is that of its own warming up. */
const MEMORY_CALLS_MIN = 50;

const RELAY_HEADS = [
  'calls',
  'subject',
  'CPU',
  'core',
  'up p50/p99/p99.9',
  'down p50/p99/p99.9',
  'pacing p99/p99.9',
  'lost',
  'gaps',
  'judged',
  'kB/call',
  'load',
  'steal',
];

/** `200`, `800x2` with two media workers, `200 burst`. */
export const nameOf = ({ calls, workers, mode }: Pick<RunResult, 'calls' | 'workers' | 'mode'>) =>
  `${calls}${workers > 1 ? `x${workers}` : ''}${mode === 'echo' ? '' : ` ${mode}`}`;

/** The relay bench: a row a run. CPU in ms per call and second, times in ms, `lost` up+down. */
export function relayTable(results: readonly RunResult[]): string {
  return layOut(RELAY_HEADS, results.map(relayRow));
}

function relayRow(result: RunResult): string[] {
  const { report, calls, callsUp, subject } = result;
  const name = `${nameOf(result)}${callsUp < calls ? ` (${callsUp} up)` : ''}`;
  const cost = [result.cpuMsPerCallSecond.toFixed(2), `${result.cpuPercent.toFixed(0)} %`];
  const memory = (result.residentBytes - result.idleBytes) / 1000 / calls;
  const rest = [
    `${result.soundSeconds}/${result.seconds}`,
    calls < MEMORY_CALLS_MIN ? '-' : memory.toFixed(0),
    `${result.generatorPercent.toFixed(0)} %`,
    `${result.stealPercent.toFixed(1)} %`,
  ];
  if (report === undefined) return [name, subject, ...cost, 'refused', '', '', '', '', ...rest];
  const { up, down } = report;
  return [
    name,
    subject,
    ...cost,
    three(up.latencyMs),
    three(down.latencyMs),
    `${ms(down.pacingMs.p99)}/${ms(down.pacingMs.p999)}`,
    `${lost(up)}+${lost(down)}`,
    `${up.gaps}+${down.gaps}`,
    ...rest,
  ];
}

/** Frames that never arrived. */
export const lost = ({ sent, arrived }: Pick<WayFigures, 'sent' | 'arrived'>) => Math.max(0, sent - arrived);

/**
 * Cost of each further call: the slope between one number of calls and the next, of one worker.
 * Empty with fewer than two runs.
 */
export function memoryLine(results: readonly RunResult[]): string {
  const slopes = (subject: RunResult['subject']) => {
    const rows = results.filter(
      (one) =>
        one.subject === subject && one.mode === 'echo' && one.workers === 1 && one.calls >= MEMORY_CALLS_MIN,
    );
    return rows.slice(1).map((row, at) => {
      const before = rows[at] ?? row;
      const slope = (row.residentBytes - before.residentBytes) / 1000 / (row.calls - before.calls);
      return `${before.calls} to ${row.calls}: ${slope.toFixed(0)} kB`;
    });
  };
  const bridge = slopes('bridge');
  const relay = slopes('bare relay');
  if (bridge.length === 0) return '';
  return `memory of each further call, bridge: ${bridge.join(', ')}; bare relay: ${relay.join(', ')}`;
}

const SETUP_HEADS = ['answered', 'joined', 'caller at bot', 'bot at caller'].map((head) => `${head} p50/p95`);

const setupCells = ({ answeredMs, joinedMs, firstUpMs, firstDownMs }: SetupFigures) =>
  [answeredMs, joinedMs, firstUpMs, firstDownMs].map(({ p50, p95 }) => `${ms(p50)}/${ms(p95)}`);

/** Set-up from StasisStart, in ms: the bridge's runs, and the arrivals. */
export function setupTable(results: readonly RunResult[], arrivals: ArrivalResult | undefined): string {
  const rows = results.flatMap((result) =>
    result.setup === undefined
      ? []
      : [[nameOf(result), `${result.callsUp}`, ...setupCells(result.setup), `${result.leaked}`]],
  );
  if (arrivals !== undefined) {
    const { calls, callsUp, rate, callsMax, setup, leaked } = arrivals;
    const name = `${calls}, ${rate} a second, ${callsMax} at once`;
    rows.push([name, `${callsUp}`, ...setupCells(setup), `${leaked}`]);
  }
  return layOut(['calls', 'set up', ...SETUP_HEADS, 'left behind'], rows);
}

/**
 * Garbage collection, of the threads that carry audio and of the control thread, and what the pacer
 * skipped. For runs of the bridge.
 */
export function collectionTable(results: readonly RunResult[]): string {
  const rows = results.flatMap((result) => {
    if (result.gc === undefined) return [];
    const { before, after, seconds } = result.gc;
    const rate = (part: 'mediaGc' | 'controlGc') => [
      ((after[part].count - before[part].count) / seconds).toFixed(1),
      `${((after[part].totalMs - before[part].totalMs) / seconds / 10).toFixed(2)} %`,
    ];
    const skipped = String(after.skippedFrames - before.skippedFrames);
    return [[nameOf(result), ...rate('mediaGc'), ms(after.mediaGc.longestMs), ...rate('controlGc'), skipped]];
  });
  const heads = [
    'media GC a second',
    'of the time',
    'longest since start',
    'control GC a second',
    'of the time',
  ];
  return layOut(['calls', ...heads, 'skipped frames'], rows);
}

function three({ n, p50, p99, p999 }: Distribution): string {
  return n === 0 ? '-' : `${ms(p50)}/${ms(p99)}/${ms(p999)}`;
}

/** A time in ms, as many digits as it deserves; `-` without one. */
export function ms(value: number | undefined): string {
  if (value === undefined) return '-';
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
