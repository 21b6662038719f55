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

const TOP = 14;

/** Reads the file's text. */
export function parseProfile(text: string): Profile {
  return JSON.parse(text) as Profile;
}

/** Where a function belongs. */
export function placeOf({ functionName, url }: ProfileNode['callFrame']): string {
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (url === '') return 'native code and the kernel';
  const ours = /\/src\/(.*)\.ts$/.exec(url)?.[1];
  if (ours !== undefined) return `src/${ours}`;
  const module = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
  if (module !== undefined) return `module ${module}`;
  return url.startsWith('node:') ? `Node: ${url.slice(5).replace('internal/', '')}` : 'other';
}

/** Two tables: places, and the functions with the most time of their own, as shares of the time that was not idle. */
export function describeProfile(
  profile: Profile,
  [fromUs, toUs]: readonly [number, number],
  cpuMsPerCallSecond: number,
): string {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const places = new Map<string, number>();
  const functions = new Map<string, number>();
  let nowUs = profile.startTime;
  let busyUs = 0;
  for (const [at, id] of profile.samples.entries()) {
    // A sample's time is that until the next one.
    nowUs += profile.timeDeltas[at] ?? 0;
    const frame = frames.get(id);
    if (frame === undefined || nowUs < fromUs || nowUs > toUs) continue;
    const us = profile.timeDeltas[at + 1] ?? 0;
    const place = placeOf(frame);
    if (place === 'idle') continue;
    busyUs += us;
    places.set(place, (places.get(place) ?? 0) + us);
    const name = `${frame.functionName || '(anonymous)'}, ${place}`;
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
