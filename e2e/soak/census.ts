/** What Asterisk holds, compared with what the calls need. Pure. */

/** Ids of what Asterisk holds. */
export interface Holdings {
  readonly channels: readonly string[];
  readonly bridges: readonly string[];
}

/** A call under way, as the bridge's API shows it. */
export interface LiveCall {
  readonly callId: string;
  readonly channelId: string;
  readonly state: string;
  readonly transfer?: { readonly status: string };
}

/** Ids of ours: `bridge/src/call/asterisk-ids.ts`. */
const OWN_ID = /^(pcb|pcm|pct)-[0-9a-f]{8}-\d+(?:\.\d+)?-(.*?)~?$/s;

/**
 * Each difference as one line. Between two moments of a call there are always some, so a difference
 * counts only when it stays. `phones` are the calls whose telephones are up.
 */
export function differences(
  { channels, bridges }: Holdings,
  live: readonly LiveCall[],
  phones: ReadonlySet<string>,
): string[] {
  const callers = new Set(live.map(({ channelId }) => channelId));
  const owned = new Map<string, number>();
  const found: string[] = [];
  for (const id of [...channels, ...bridges]) {
    const [, kind, caller = ''] = OWN_ID.exec(id) ?? [];
    const callerId = kind === undefined ? id : caller;
    if (!callers.has(callerId))
      found.push(`${kind === undefined ? 'channel' : kind} ${id} belongs to no call`);
    const key = `${kind ?? 'caller'} ${callerId}`;
    owned.set(key, (owned.get(key) ?? 0) + 1);
  }
  for (const { callId, channelId, state, transfer } of live) {
    if (!phones.has(callId)) found.push(`call ${callId} is live, and its telephone is not up`);
    if (state !== 'active') continue;
    const isWithBot = transfer === undefined || transfer.status === 'failed';
    for (const kind of isWithBot ? ['caller', 'pcm', 'pcb'] : ['caller']) {
      const count = owned.get(`${kind} ${channelId}`) ?? 0;
      if (count !== 1) found.push(`call ${callId} has ${count} of ${kind}`);
    }
  }
  return found;
}

/** Finds what stays for too long. */
export class Persistence {
  readonly #limitMs: number;
  #sinceMs = new Map<string, number>();

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** Notes what there is at this time; returns what has been there for longer than the limit. */
  note(nowMs: number, items: readonly string[]): string[] {
    this.#sinceMs = new Map(items.map((item) => [item, this.#sinceMs.get(item) ?? nowMs]));
    return items.filter((item) => nowMs - (this.#sinceMs.get(item) ?? nowMs) > this.#limitMs);
  }
}
