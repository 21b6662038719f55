/** Requests without a right token that an address may send at once, and how long each of them is remembered, ms. */
const FAILURES_MAX = 20;
const FORGET_MS = 3_000;
/** Addresses that are remembered; beyond it the one that was heard of first is forgotten. */
const SOURCES_MAX = 10_000;
/** An address that goes on is spoken of again after this time. */
const TOLD_EVERY_MS = 60_000;

interface Source {
  /** Failures that are not forgotten yet. */
  count: number;
  atMs: number;
  toldMs: number;
  /** Refused since it was spoken of last. */
  refused: number;
}

/** What a request without a right token meets. */
export interface Verdict {
  /** 0: it is told that its token is wrong. Else it is only told to wait so long. */
  readonly retryAfterS: number;
  /** How many were refused, when it is time to speak of it. */
  readonly toTell: number | undefined;
}

/** Limits guesses at tokens by the address that they come from, so that nobody's guesses are at the cost of who has the token. */
export class Failures {
  readonly #sources = new Map<string, Source>();
  readonly #max: number;

  /** `max`: at most so many at once, where that is fewer than usual. */
  constructor(max: number) {
    this.#max = Math.min(max, FAILURES_MAX);
  }

  /** A request of an address had no right token. */
  failed(address: string, nowMs: number): Verdict {
    const source = this.#of(sourceOf(address), nowMs);
    source.count = Math.max(0, source.count - (nowMs - source.atMs) / FORGET_MS);
    source.atMs = nowMs;
    if (source.count <= this.#max - 1) {
      source.count += 1;
      return { retryAfterS: 0, toTell: undefined };
    }
    source.refused += 1;
    const retryAfterS = Math.max(1, Math.ceil(((source.count - this.#max + 1) * FORGET_MS) / 1000));
    if (nowMs - source.toldMs < TOLD_EVERY_MS) return { retryAfterS, toTell: undefined };
    const toTell = source.refused;
    Object.assign(source, { toldMs: nowMs, refused: 0 });
    return { retryAfterS, toTell };
  }

  #of(key: string, nowMs: number): Source {
    const known = this.#sources.get(key);
    if (known !== undefined) return known;
    const source = { count: 0, atMs: nowMs, toldMs: Number.NEGATIVE_INFINITY, refused: 0 };
    this.#sources.set(key, source);
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > SOURCES_MAX && oldest !== undefined) this.#sources.delete(oldest);
    return source;
  }
}

/** Of IPv6 the network of 64 bits, of which one customer has all addresses (RFC 6177); IPv4 as it is. */
function sourceOf(address: string): string {
  const v4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (v4 !== undefined) return v4;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ? tail.split(':') : [])];
  return all.slice(0, 4).join(':').toLowerCase();
}
