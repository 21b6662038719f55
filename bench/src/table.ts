/** Results as text for people. Pure. */
import { longestGc } from './bridge.ts';
import type { Distribution } from './generator.ts';
import type { RunResult } from './run.ts';

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
  ...['calls', 'subject', 'CPU', 'core', 'up p50/p99/p99.9', 'down p50/p99/p99.9', 'pacing p99/p99.9'],
  ...['lost', 'gaps', 'kB/call', 'load', 'steal'],
];

/** The relay bench: a row a run. CPU in ms per call and second, times in ms, `lost` up+down. */
export function relayTable(results: readonly RunResult[]): string {
  return layOut(RELAY_HEADS, results.map(relayRow));
}

function relayRow(result: RunResult): string[] {
  const { report, mode, calls, callsUp, subject } = result;
  const name = `${calls}${mode === 'echo' ? '' : ` ${mode}`}${callsUp < calls ? ` (${callsUp} up)` : ''}`;
  const cost = [result.cpuMsPerCallSecond.toFixed(2), `${result.cpuPercent.toFixed(0)} %`];
  const rest = [
    calls < MEMORY_CALLS_MIN ? '-' : result.memoryKbPerCall.toFixed(0),
    `${result.generatorPercent.toFixed(0)} %`,
    `${result.stealPercent.toFixed(1)} %`,
  ];
  if (report === undefined) return [name, subject, ...cost, 'refused', '', '', '', '', ...rest];
  const { up, down } = report;
  const lost = (way: { sent: number; arrived: number }) => Math.max(0, way.sent - way.arrived);
  return [
    ...[name, subject, ...cost],
    ...[three(up.latencyMs), three(down.latencyMs)],
    `${ms(down.pacingMs.p99)}/${ms(down.pacingMs.p999)}`,
    ...[`${lost(up)}+${lost(down)}`, `${up.gaps}+${down.gaps}`],
    ...rest,
  ];
}

/** Set-up and collection: the bridge's runs only. */
export function bridgeTable(results: readonly RunResult[]): string {
  const heads = [
    ...['calls', 'answered p50/p99', 'joined p50/p99', 'caller at bot p50/p99', 'bot at caller p50/p99'],
    ...['GC a second', 'GC share', 'longest GC', 'skipped frames', 'left behind'],
  ];
  const rows = results.flatMap(({ calls, mode, setup, gc, leaked, seconds }) => {
    if (setup === undefined || gc === undefined) return [];
    const { before, after } = gc;
    // The metrics span the settling time and the drain too.
    const collections = after.gcCount - before.gcCount;
    const spanS = seconds + 3.5 + (mode === 'echo' ? 0 : 2);
    return [
      [
        `${calls}${mode === 'echo' ? '' : ` ${mode}`}`,
        ...[setup.answeredMs, setup.joinedMs, setup.firstUpMs, setup.firstDownMs].map(
          ({ p50, p99 }) => `${ms(p50)}/${ms(p99)}`,
        ),
        (collections / spanS).toFixed(1),
        `${((after.gcMs - before.gcMs) / spanS / 10).toFixed(2)} %`,
        longestGc(before, after),
        String(after.skippedFrames - before.skippedFrames),
        String(leaked ?? 0),
      ],
    ];
  });
  return layOut(heads, rows);
}

function three({ n, p50, p99, p999 }: Distribution): string {
  return n === 0 ? '-' : `${ms(p50)}/${ms(p99)}/${ms(p999)}`;
}

/** A time in ms, as many digits as it deserves; `-` without one. */
export function ms(value: number | undefined): string {
  if (value === undefined) return '-';
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
