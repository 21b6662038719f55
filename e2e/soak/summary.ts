/** The table at the end of a run. Pure. */
import type { ActWindow, Breach, CallFacts } from './verdict.ts';
import type { Open, Slope } from './watch.ts';

/** What a run has to say. */
export interface Outcome {
  readonly calls: readonly CallFacts[];
  readonly acts: readonly ActWindow[];
  readonly breaches: readonly Breach[];
  readonly start: Open;
  readonly end: Open;
  readonly slopes: readonly Slope[];
}

const ENDLESS_TONE = '102';
const TRANSFERS: ReadonlySet<string | undefined> = new Set(['leg', 'refer', 'dialplan']);

/** Whether the caller hears the bot's tone all the time, where nothing is wrong. */
function isNeverSilent({ kind }: CallFacts): boolean {
  return kind.bot === ENDLESS_TONE && !TRANSFERS.has(kind.does);
}

function counted(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
}

const KIB = 1_024;

/** Lines of name and value. */
export function summary({ calls, acts, breaches, start, end, slopes }: Outcome): string[] {
  const answered = calls.filter(({ answeredMs }) => answeredMs !== undefined);
  const longest = calls
    .filter(isNeverSilent)
    .reduce<CallFacts | undefined>(
      (most, call) => ((call.longestSilenceMs ?? 0) > (most?.longestSilenceMs ?? 0) ? call : most),
      undefined,
    );
  const rows: [string, string][] = [
    ['calls', `${calls.length}, ${answered.length} answered`],
    ['by kind', counted(calls.map(({ kind }) => kind.name))],
    ['faults', counted(acts.filter(({ kind }) => kind.is === 'fault').map(({ kind }) => kind.name))],
    ['planned acts', counted(acts.filter(({ kind }) => kind.is === 'planned').map(({ kind }) => kind.name))],
    ['cut calls', `${breaches.filter(({ isCut }) => isCut).length}`],
    [
      'turned away',
      `${calls.filter(({ endedBy, answeredMs }) => endedBy === 'refused' && !answeredMs).length}`,
    ],
    [
      'longest silence',
      longest ? `${Math.round(longest.longestSilenceMs ?? 0)} ms (${longest.kind.name})` : '-',
    ],
    [
      'bridge',
      `descriptors ${start.bridgeDescriptors} to ${end.bridgeDescriptors}, UDP ports ${end.bridgePorts}`,
    ],
    [
      'Asterisk',
      `descriptors ${start.asteriskDescriptors} to ${end.asteriskDescriptors}, UDP ports ${end.asteriskPorts}`,
    ],
    ...slopes.map(({ name, minutes, perMinute, isJudged }): [string, string] => [
      `memory, ${name}`,
      `${Math.round((perMinute ?? 0) / KIB)} KiB/min in ${minutes.toFixed(1)} min${isJudged ? '' : ' (too short to judge)'}`,
    ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value || 'none'}`);
}
