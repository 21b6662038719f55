/** Unauthorized requests that an address may send at once. Each is forgotten after FORGET_MS. */
const FAILURES_MAX = 20;
const FORGET_MS = 3_000;
/** Addresses that are remembered. Beyond it the oldest one is forgotten. */
const SOURCES_MAX = 10_000;
/** An address is logged again after this time. */
const TOLD_EVERY_MS = 60_000;

interface Source {
  /** Failures that are not forgotten yet. Falls with time, so it may be a fraction. */
  count: number;
  atMs: number;
  toldMs: number;
  /** Requests refused since the address was last logged. */
  refused: number;
}

/** How an unauthorized request is answered. */
export interface Verdict {
  /** 0: answer that the token is wrong (401). Otherwise: answer only that it must wait, s (429). */
  readonly retryAfterS: number;
  /** Number of refused requests to log. Undefined: log nothing now. */
  readonly toTell: number | undefined;
}

/**
 * Limits token guesses per source address, so that they do not block clients with a valid token.
 */
export class Failures {
  readonly #sources = new Map<string, Source>();
  readonly #most: () => number;

  /** `max`: requests at once, if fewer than the default. */
  constructor(max: () => number) {
    this.#most = max;
  }

  get #max(): number {
    return Math.min(this.#most(), FAILURES_MAX);
  }

  /** Counts an unauthorized request from an address. */
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

/**
 * Key of an address. IPv6: its /64 network, since one customer has all of it (RFC 6177). IPv4: the
 * address.
 */
function sourceOf(address: string): string {
  const v4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (v4 !== undefined) return v4;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ? tail.split(':') : [])];
  return all.slice(0, 4).join(':').toLowerCase();
}
