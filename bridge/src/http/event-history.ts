/** Past events for listeners that reconnect. */
const PAST_MAX = 2_000;

/** An event, as processes of the bridge pass it to their successors. */
export interface SharedEvent {
  /** Its number in the stream of each process that has published it. */
  readonly ids: readonly (readonly [process: string, number: number])[];
  readonly name: string;
  /** JSON. */
  readonly data: string;
}

/** An event that was sent. */
export interface PastEvent {
  readonly number: number;
  /** Its numbers in the streams of predecessors. */
  readonly others: Map<string, number>;
  readonly name: string;
  readonly data: string;
}

/** The last event that a listener had: `PROCESS-NUMBER`. */
export interface LastEvent {
  readonly process: string;
  readonly number: number;
}

/** Parses a `Last-Event-ID`. Undefined if it is none of ours. */
export function parseEventId(text: string): LastEvent | undefined {
  const [, process, number] = /^([^-]+)-(\d+)$/.exec(text) ?? [];
  return process === undefined ? undefined : { process, number: Number(number) };
}

/** Whether a listener has had an event from a predecessor. */
export function hadBefore(last: LastEvent | undefined, { others }: PastEvent): boolean {
  return last !== undefined && (others.get(last.process) ?? Number.POSITIVE_INFINITY) <= last.number;
}

/**
 * The last events of this process and of its predecessors, in the order in which this process sent
 * them. It knows the ids that predecessors gave them: a listener may come from one of those.
 */
export class EventHistory {
  readonly process: string;
  #past: PastEvent[] = [];
  #number = 0;
  /** Highest number that is known of each predecessor's stream. */
  readonly #heard = new Map<string, number>();

  /** `process` makes event ids differ from those of other processes. */
  constructor(process: string) {
    this.process = process;
  }

  /** Id of the last event. */
  get lastId(): string {
    return `${this.process}-${this.#number}`;
  }

  /** All events, oldest first, for a successor. */
  get shared(): SharedEvent[] {
    return this.#past.map((past) => this.share(past));
  }

  share({ number, others, name, data }: PastEvent): SharedEvent {
    return { ids: [[this.process, number], ...others], name, data };
  }

  /** A new event. */
  add(name: string, data: string, others = new Map<string, number>()): PastEvent {
    this.#number += 1;
    const event = { number: this.#number, others, name, data };
    this.#past.push(event);
    if (this.#past.length >= PAST_MAX * 2) this.#past = this.#past.slice(-PAST_MAX);
    return event;
  }

  /** A predecessor has a stream of this id. */
  meet(process: string): void {
    if (!this.#heard.has(process)) this.#heard.set(process, 0);
  }

  /** An event of a predecessor. Undefined if it is known already. */
  addShared({ ids, name, data }: SharedEvent): PastEvent | undefined {
    if (ids.some(([process]) => process === this.process)) return undefined;
    const isKnown = ids.some(([process, number]) => number <= (this.#heard.get(process) ?? 0));
    for (const [process, number] of ids)
      this.#heard.set(process, Math.max(number, this.#heard.get(process) ?? 0));
    if (!isKnown) return this.add(name, data, new Map(ids));
    // Two predecessors have told of it. A listener may know either id.
    const same = this.#past.find(({ others }) =>
      ids.some(([process, number]) => others.get(process) === number),
    );
    for (const [process, number] of ids) same?.others.set(process, number);
    return undefined;
  }

  /** What a listener has missed. Undefined if that is not known. */
  since(last: LastEvent | undefined): readonly PastEvent[] | undefined {
    if (last === undefined) return undefined;
    return last.process === this.process ? this.#ownSince(last) : this.#othersSince(last);
  }

  #ownSince({ number: last }: LastEvent): readonly PastEvent[] | undefined {
    const first = this.#past[0]?.number ?? this.#number + 1;
    if (last + 1 < first || last > this.#number) return undefined;
    return this.#past.filter(({ number }) => number > last);
  }

  /** A listener of a predecessor has had nothing of ours, and nothing of other predecessors. */
  #othersSince(last: LastEvent): readonly PastEvent[] | undefined {
    const heard = this.#heard.get(last.process);
    if (heard === undefined || (this.#past[0]?.number ?? 1) > 1) return undefined;
    const numbers = this.#past.flatMap(({ others }) => others.get(last.process) ?? []);
    if (last.number + 1 < Math.min(heard + 1, ...numbers)) return undefined;
    return this.#past.filter((event) => !hadBefore(last, event));
  }
}
