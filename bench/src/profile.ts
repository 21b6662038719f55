/** Sums a V8 CPU profile up by where the time goes. Pure. */
import { layOut } from './table.ts';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
}

/** A `.cpuprofile`, as V8 writes it; times in µs of CLOCK_MONOTONIC. */
export interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const TOP = 20;

/** Reads the file's text. */
export function parseProfile(text: string): Profile {
  return JSON.parse(text) as Profile;
}

/**
 * Functions of the bridge that are little more than a system call, which V8 counts as their own
 * time: by file and name.
 */
const SYSTEM_CALLS: Readonly<Record<string, string>> = {
  'rtp/datagrams send': 'kernel: UDP send',
  'rtp/datagrams receive': 'kernel: UDP receive',
  'pipecat/write-now writeNow': 'kernel: TCP send',
};
/**
 * Native functions of Node by what they do; they have no file. The rest is TCP receiving and
 * waiting in the kernel, and the runtime.
 */
const NATIVE: readonly (readonly [RegExp, string])[] = [
  [/^(writev|writeBuffer|write(Utf8|Latin1|Ascii)String|shutdown)$/, 'kernel: TCP send'],
  [
    /^(base64|utf8|latin1|ascii|hex|ucs2)(Slice|Write)|^(copy|fill|indexOf|byteLength|compare|decode|encode)/,
    'base64 and bytes',
  ],
  [/^(parse|stringify)$/, 'JSON'],
  [/^(mask|unmask)$/, 'module bufferutil'],
];

/** Where a function belongs. */
export function placeOf({ functionName, url }: ProfileNode['callFrame']): string {
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'garbage collection';
  const native = NATIVE.find(([pattern]) => pattern.test(functionName));
  if (url === '') return native?.[1] ?? 'runtime, and kernel: TCP receive, wait';
  const ours = /\/src\/(.*)\.ts$/.exec(url)?.[1];
  if (ours !== undefined) return SYSTEM_CALLS[`${ours} ${functionName}`] ?? `src/${ours}`;
  const module = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
  if (module !== undefined) return `module ${module}`;
  return url.startsWith('node:') ? `Node: ${url.slice(5).replace('internal/', '')}` : 'other';
}

/**
 * Two tables: places, and the functions with the most time of their own. Both as shares of the time
 * that was not idle, all threads together.
 */
export function describeProfiles(
  profiles: readonly Profile[],
  windowUs: readonly [number, number],
  cpuMsPerCallSecond: number,
): string {
  const places = new Map<string, number>();
  const functions = new Map<string, number>();
  let busyUs = 0;
  for (const { callFrame, us } of profiles.flatMap((profile) => samplesOf(profile, windowUs))) {
    const place = placeOf(callFrame);
    if (place === 'idle') continue;
    busyUs += us;
    places.set(place, (places.get(place) ?? 0) + us);
    const name = `${callFrame.functionName || '(anonymous)'}, ${place}`;
    functions.set(name, (functions.get(name) ?? 0) + us);
  }
  const table = (head: string, sums: Map<string, number>) => {
    const top = [...sums].sort(([, a], [, b]) => b - a).slice(0, TOP);
    const rows = top.map(([name, us]) => [
      name,
      `${((100 * us) / busyUs).toFixed(1)} %`,
      ((cpuMsPerCallSecond * us) / busyUs).toFixed(3),
    ]);
    return layOut([head, 'share', 'ms per call and second'], rows);
  };
  return `${table('where the time goes', places)}\n\n${table('function', functions)}`;
}

/** The samples of a window. A sample's time is that until the next one. */
function samplesOf(
  { nodes, startTime, samples, timeDeltas }: Profile,
  [fromUs, toUs]: readonly [number, number],
): { callFrame: ProfileNode['callFrame']; us: number }[] {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  let nowUs = startTime;
  return samples.flatMap((id, at) => {
    nowUs += timeDeltas[at] ?? 0;
    const callFrame = frames.get(id);
    if (callFrame === undefined || nowUs < fromUs || nowUs > toUs) return [];
    return [{ callFrame, us: timeDeltas[at + 1] ?? 0 }];
  });
}
