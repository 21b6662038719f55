/** What a stack holds on to: nothing, between calls. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ari } from '../hands/ari.ts';
import { udpSockets } from '../phones/phones.ts';
import { LOCALHOST, type Ports } from './ports.ts';

/** What must be zero between calls, by name. */
export type Holdings = Record<string, number>;

const GAUGES = ['calls_active', 'rtp_ports_in_use', 'bot_connections'] as const;
/**
 * Longer than the bridge keeps an idle connection to ARI (10 s): after a burst of calls there are
 * many.
 */
const SETTLE_MS = 15_000;
const POLL_MS = 50;
/** Idle keep-alive connections to ARI, which come and go. */
const SPARE_DESCRIPTORS = 4;

/** The bridge's metrics by name (those without labels). Throws an Error when it does not answer. */
export async function readMetrics(ports: Ports): Promise<Record<string, number>> {
  const response = await fetch(`http://${LOCALHOST}:${ports.http}/metrics`, {
    signal: AbortSignal.timeout(5000),
  });
  const lines = (await response.text()).matchAll(/^([a-z_]+) ([-+.\de]+)$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value]) => [name, Number(value)]));
}

/** Finds leaks by comparing with what the bridge held when it was idle. */
export class LeakCheck {
  #ari: Ari;
  #ports: Ports;
  #idleDescriptors: number | undefined;

  constructor(ari: Ari, ports: Ports) {
    this.#ari = ari;
    this.#ports = ports;
  }

  /** Resolves once nothing is held; after 15 s throws an Error that lists what still is. */
  async expectNone(): Promise<void> {
    const deadline = Date.now() + SETTLE_MS;
    for (;;) {
      const held = Object.entries(await this.#holdings()).filter(([, count]) => count !== 0);
      if (held.length === 0) return;
      if (Date.now() > deadline) throw new Error(`leaked: ${held.map((pair) => pair.join(' ')).join(', ')}`);
      await sleep(POLL_MS);
    }
  }

  async #holdings(): Promise<Holdings> {
    const [channels, bridges, sockets] = await Promise.all([
      this.#ari.channels(),
      this.#ari.bridges(),
      udpSockets(),
    ]);
    const metrics = await readMetrics(this.#ports);
    const ours = sockets.filter((socket) => {
      const port = Number(socket.split(':')[1]);
      return port >= this.#ports.rtpMin && port <= this.#ports.rtpMax;
    });
    const descriptors = metrics.process_open_fds ?? Number.NaN;
    // The first look is the idle bridge.
    this.#idleDescriptors ??= descriptors;
    const gauges = GAUGES.map((name) => [name, metrics[`pipecat_bridge_${name}`] ?? Number.NaN]);
    return {
      'ARI channels': channels.length,
      'ARI bridges': bridges.length,
      'RTP sockets': ours.length,
      'file descriptors': Math.max(0, descriptors - this.#idleDescriptors - SPARE_DESCRIPTORS),
      ...Object.fromEntries(gauges),
    };
  }
}
