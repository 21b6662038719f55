import {
  AggregatorRegistry,
  type MetricObjectWithValues,
  type MetricValue,
  type Registry,
} from 'prom-client';
import { PREFIX } from './metrics.ts';

/** Metrics of a process, as prom-client passes them between processes. */
export type ProcessMetrics = readonly MetricObjectWithValues<MetricValue<string>>[];

/**
 * The metrics of this process and of those that handed over to it, as one: counters, histograms and
 * most gauges are sums. What a process counted stays in the sums when it has ended, so that no
 * counter goes down. Metrics of Node.js and of the process itself are of this process only.
 */
export class SummedMetrics {
  readonly #registry: Registry;
  /** Counters of processes that have ended, by id. */
  readonly #ended = new Map<string, ProcessMetrics>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** As text for Prometheus. `others`: the processes that handed over and still run, by id. */
  async text(others: ReadonlyMap<string, ProcessMetrics>): Promise<string> {
    if (others.size + this.#ended.size === 0) return await this.#registry.metrics();
    return await this.#sum(others).then((sum) => sum.metrics());
  }

  /** For our successor: what is ours, with what ended processes have counted. */
  async forSuccessor(): Promise<ProcessMetrics> {
    const sum = await this.#sum(new Map());
    return ours((await sum.getMetricsAsJSON()) as ProcessMetrics);
  }

  /** A process has ended: its counters stay. */
  retain(process: string, last: ProcessMetrics): void {
    const counted = ours(last).filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
    this.#ended.set(process, counted);
  }

  /**
   * A process is there, perhaps again: it tells its counters itself. Returns what was kept of it.
   */
  revive(process: string): ProcessMetrics {
    const kept = this.#ended.get(process) ?? [];
    this.#ended.delete(process);
    return kept;
  }

  async #sum(others: ReadonlyMap<string, ProcessMetrics>): Promise<Registry> {
    const own = (await this.#registry.getMetricsAsJSON()) as ProcessMetrics;
    const all = own.map((metric) => (isOurs(metric) ? metric : { ...metric, aggregator: 'first' as const }));
    // One may have ended since it was asked.
    const ended = [...this.#ended].filter(([id]) => !others.has(id)).map(([, metrics]) => metrics);
    const parts = [all, ...[...others.values()].map(ours), ...ended].map((metrics) => [...metrics]);
    return AggregatorRegistry.aggregate(parts) as Registry;
  }
}

const isOurs = ({ name }: { readonly name: string }) => name.startsWith(PREFIX);

function ours(metrics: ProcessMetrics): ProcessMetrics {
  return metrics.filter(isOurs);
}
