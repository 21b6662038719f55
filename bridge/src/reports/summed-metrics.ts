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
  /** Counters of processes that have ended. */
  #ended: ProcessMetrics = [];

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** As text for Prometheus. `others`: the processes that handed over and still run. */
  async text(others: readonly ProcessMetrics[]): Promise<string> {
    if (others.length === 0 && this.#ended.length === 0) return await this.#registry.metrics();
    return await this.#sum(others).then((sum) => sum.metrics());
  }

  /** For our successor: what is ours, with what ended processes have counted. */
  async forSuccessor(): Promise<ProcessMetrics> {
    const sum = await this.#sum([]);
    return ours((await sum.getMetricsAsJSON()) as ProcessMetrics);
  }

  /** A process has ended: its counters stay. */
  async retain(last: ProcessMetrics): Promise<void> {
    const counted = ours(last).filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
    const all = [this.#ended, counted].map((metrics) => [...metrics]);
    this.#ended = (await AggregatorRegistry.aggregate(all).getMetricsAsJSON()) as ProcessMetrics;
  }

  async #sum(others: readonly ProcessMetrics[]): Promise<Registry> {
    const own = (await this.#registry.getMetricsAsJSON()) as ProcessMetrics;
    const all = own.map((metric) => (isOurs(metric) ? metric : { ...metric, aggregator: 'first' as const }));
    const parts = [all, ...others.map(ours), this.#ended].map((metrics) => [...metrics]);
    return AggregatorRegistry.aggregate(parts) as Registry;
  }
}

const isOurs = ({ name }: { readonly name: string }) => name.startsWith(PREFIX);

function ours(metrics: ProcessMetrics): ProcessMetrics {
  return metrics.filter(isOurs);
}
