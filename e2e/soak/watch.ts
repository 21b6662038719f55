/** Looks at the stack throughout a run: what is held, and how much memory. */
import { udpSockets } from '../phones/phones.ts';
import { type Ports, PROVIDER_PORT } from '../stack/ports.ts';
import { differences, Persistence } from './census.ts';
import type { ListedCall } from './slots.ts';
import { socketsByInode } from './sockets.ts';
import { type Sample, slopePerMinute } from './trend.ts';
import type { World } from './world.ts';

/** A difference between Asterisk and the calls is a breach when it stays for so long. */
const STAYS_MS = 20_000;
/** Memory of a younger process still grows: code is compiled, and caches fill. */
const WARM_UP_MS = 300_000;
/** A shorter series says nothing about its slope. */
const SERIES_MIN_MS = 900_000;
/** Largest slopes of the resident memory, bytes a minute. */
const SLOPE_MAX = { bridge: 1_048_576, asterisk: 524_288 };

/** Memory of Asterisk's process in KiB, then what each of its descriptors is, one a line. */
const PROCESS_SCRIPT = `for d in /proc/[0-9]*; do
  read -r name < $d/comm && [ "$name" = asterisk ] || continue
  sed -n 's/^VmRSS:[[:space:]]*\\([0-9]*\\) kB/\\1/p' $d/status
  for fd in $d/fd/*; do readlink $fd; done; exit
done 2>/dev/null`;

/** What each descriptor of the bridge is, one a line. */
const BRIDGE_SCRIPT = `for d in /proc/[0-9]*; do
  tr '\\0' ' ' < $d/cmdline | grep -q '^[^ ]*node .*[m]ain.ts' || continue
  for fd in $d/fd/*; do readlink $fd; done; exit
done 2>/dev/null`;

/** What a process has open. */
export interface Open {
  readonly asteriskDescriptors: number;
  readonly bridgeDescriptors: number;
  readonly asteriskPorts: number;
  readonly bridgePorts: number;
}

/** The memory of one process over time. */
interface Series {
  readonly of: keyof typeof SLOPE_MAX;
  readonly name: string;
  readonly samples: Sample[];
}

/** Slope of a series, bytes a minute, and whether it is long enough to judge. */
export interface Slope {
  readonly name: string;
  readonly minutes: number;
  readonly perMinute: number | undefined;
  readonly isJudged: boolean;
  readonly isSteep: boolean;
}

/** Memory and descriptors of Asterisk. */
async function asteriskProcess({ stack }: World): Promise<{ descriptors: string[]; bytes: number }> {
  const printed = await stack.exec('asterisk', ['bash', '-c', PROCESS_SCRIPT]);
  const [kib, ...descriptors] = printed.trim().split('\n');
  return { descriptors: descriptors.map((name) => name.trim()), bytes: Number(kib) * 1_024 };
}

/** A connection of SIP over TCP, which Asterisk keeps for the next call. */
const SIP_PEER = `:${PROVIDER_PORT}`;
/**
 * Each event loop of libuv opens it once, with its first TCP connection (`uv__stream_init`), and
 * keeps it as a reserve. A media worker has it from its first call on: it is no leak.
 */
const RESERVE = '/dev/null';

/** What the bridge that takes the calls has open, and how often. */
export async function bridgeHolds({ slots }: World): Promise<Map<string, number>> {
  const [printed, sockets] = await Promise.all([
    slots.current.exec(['bash', '-c', BRIDGE_SCRIPT]),
    socketsByInode(),
  ]);
  return counted(printed.trim().split('\n'), sockets);
}

/** What Asterisk has open, and how often: sockets by their ends, the others by their names. */
export async function asteriskHolds(world: World): Promise<Map<string, number>> {
  const [{ descriptors }, sockets] = await Promise.all([asteriskProcess(world), socketsByInode()]);
  return counted(descriptors, sockets);
}

/** Descriptors by what they are, without what is there for the next call. */
export function counted(
  descriptors: readonly string[],
  sockets: ReadonlyMap<string, string>,
): Map<string, number> {
  const named = descriptors
    .map((name) => {
      const inode = /^socket:\[(\d+)\]$/.exec(name.trim())?.[1];
      return inode === undefined ? name.trim().replace(/:\[\d+\]$/, '') : (sockets.get(inode) ?? 'socket');
    })
    .filter((name) => !name.endsWith(SIP_PEER) && name !== RESERVE);
  return new Map([...Map.groupBy(named, (name) => name)].map(([name, { length }]) => [name, length]));
}

function total(holds: ReadonlyMap<string, number>): number {
  return [...holds.values()].reduce((sum, count) => sum + count, 0);
}

/** What is open now. */
export async function openNow(world: World): Promise<Open> {
  const { slots, stack } = world;
  const [bridge, asterisk, sockets] = await Promise.all([
    bridgeHolds(world),
    asteriskHolds(world),
    udpSockets(),
  ]);
  const ports = sockets.map((socket) => Number(socket.split(':')[1]));
  const within = (min: number, max: number) => ports.filter((port) => port >= min && port <= max).length;
  const ofBridge = ({ rtpMin, rtpMax }: Ports) => within(rtpMin, rtpMax);
  return {
    asteriskDescriptors: total(asterisk),
    bridgeDescriptors: total(bridge),
    asteriskPorts: within(stack.ports.asteriskRtpMin, stack.ports.asteriskRtpMax),
    bridgePorts: slots.all.reduce((sum, slot) => sum + ofBridge(slot.ports), 0),
  };
}

/** The watch of one run. */
export class Watch {
  readonly #world: World;
  readonly #persistence = new Persistence(STAYS_MS);
  readonly #series = new Map<string, Series>();
  /** Time without an act, ms. */
  #quietMs = 0;
  #lastMs = performance.now();

  constructor(world: World) {
    this.#world = world;
  }

  /** Compares Asterisk with the calls. Returns what has been wrong for too long. */
  async census(): Promise<string[]> {
    const { stack, slots, running } = this.#world;
    const nowMs = performance.now();
    // Time in which Asterisk or the bridge is disturbed does not count.
    const { act } = this.#world;
    const isDisturbed = act?.turnsAway === true || act?.replaces === true;
    if (!isDisturbed) this.#quietMs += nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (isDisturbed) return [];
    const [channels, bridges, calls] = await Promise.all([
      stack.ari.channels(),
      stack.ari.bridges(),
      Promise.all(slots.all.filter(({ isUp }) => isUp).map((slot) => slot.calls(`&since=${recently()}`))),
    ]);
    const live = new Map<string, ListedCall>();
    for (const call of calls.flat()) if (call.state !== 'closed') live.set(call.callId, call);
    const held = { channels: channels.map(({ id }) => id), bridges: bridges.map(({ id }) => id) };
    const found = differences(held, [...live.values()], new Set(running.keys()));
    return this.#persistence.note(this.#quietMs, found);
  }

  /** Notes how much memory the processes have. */
  async sample(): Promise<void> {
    // A command in a container that is being paused keeps Docker from ever resuming it.
    if (this.#world.act !== undefined) return;
    const sampled = this.#sample();
    this.#world.looking = sampled.catch(() => undefined);
    await sampled;
  }

  async #sample(): Promise<void> {
    const { slots } = this.#world;
    const atMs = performance.now();
    const slot = slots.current;
    const name = `bridge ${slots.all.indexOf(slot) + 1}, process ${slot.processes}`;
    const [metrics, { bytes }] = await Promise.all([slot.metrics(), asteriskProcess(this.#world)]);
    this.#note('bridge', name, { atMs, value: metrics.process_resident_memory_bytes ?? Number.NaN });
    this.#note('asterisk', 'Asterisk', { atMs, value: bytes });
  }

  /** The slope of each process's memory. */
  get slopes(): Slope[] {
    return [...this.#series.values()].map(({ of, name, samples }) => {
      const first = samples[0]?.atMs ?? 0;
      const lengthMs = (samples.at(-1)?.atMs ?? 0) - first;
      const isJudged = lengthMs >= SERIES_MIN_MS;
      const warm = samples.filter(({ atMs }) => atMs - first >= WARM_UP_MS);
      const perMinute = slopePerMinute(isJudged ? warm : samples);
      const isSteep = isJudged && (perMinute ?? 0) > SLOPE_MAX[of];
      return { name, minutes: lengthMs / 60_000, perMinute, isJudged, isSteep };
    });
  }

  #note(of: Series['of'], name: string, sample: Sample): void {
    const series = this.#series.get(name) ?? { of, name, samples: [] };
    this.#series.set(name, series);
    if (!Number.isNaN(sample.value)) series.samples.push(sample);
  }
}

/** Calls are shorter than this. */
const RECENT_MS = 600_000;

function recently(): string {
  return encodeURIComponent(new Date(Date.now() - RECENT_MS).toISOString());
}
