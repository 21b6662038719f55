import { z } from 'zod';
import type { ProcessMetrics } from '../reports/summed-metrics.ts';
import type { CallCounts } from '../switchboard/calls-elsewhere.ts';
import type { SharedEvent } from './event-history.ts';

/** A line of what a process tells its successor, as JSON. */
export type FeedLine =
  | { readonly type: 'event'; readonly event: SharedEvent }
  /** All past events have been told. `stream` is the id of the process's events. */
  | { readonly type: 'counts'; readonly stream: string; readonly counts: CallCounts }
  /** The process ends: what it has counted. */
  | { readonly type: 'last'; readonly metrics: ProcessMetrics };

const count = z.int().min(0);
/** Text of one line: it goes into a stream of server-sent events as it is. */
const line = z.string().regex(/^[^\r\n]*$/);
const metric = z.looseObject({ name: z.string(), values: z.array(z.looseObject({ value: z.number() })) });
const event = z.object({ ids: z.array(z.tuple([z.string(), count])), name: line, data: line });
const schema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('event'), event }),
  z.object({
    type: z.literal('counts'),
    stream: z.string(),
    counts: z.object({ calls: count, outbound: z.record(z.string(), count) }),
  }),
  z.object({ type: z.literal('last'), metrics: z.array(metric) }),
]);

/** Parses a line. Throws if it is none: the port of a process that has ended may be anybody's. */
export function parseFeedLine(text: string): FeedLine {
  return schema.parse(JSON.parse(text)) as unknown as FeedLine;
}

/** The metrics of another process. Throws if these are none. */
export function parseMetrics(value: unknown): ProcessMetrics {
  return z.array(metric).parse(value) as unknown as ProcessMetrics;
}
