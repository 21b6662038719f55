import { Dialogues } from './dialogues.ts';

const ID_MAX_CHARS = 128;
/**
 * Control and format characters, line separators and unpaired surrogates. They are not safe in
 * logs, terminals and URLs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/** Channel ids: Asterisk's own (`SYSTEM-1763800000.42`), and those that we choose. */
const CHANNEL_ID = /^(?:[\w.-]+-)?\d{10}\.\d+$|^pc[a-z]?-/;
/**
 * Ids of orders stay reserved after their calls end. Beyond this number the oldest are released.
 */
const ORDERED_MAX = 10_000;
/** Claims of ended calls are removed each time that the map has grown by this many. */
const SWEEP_EVERY = 1_000;

/**
 * Whether an external text is usable as a call id: short, printable, and not a path segment that
 * URL clients rewrite (`.` or `..`).
 */
export function isUsableId(id: string | undefined): id is string {
  return id !== undefined && id.length <= ID_MAX_CHARS && !UNPRINTABLE.test(id) && !/^[\s.]*$/.test(id);
}

/**
 * Assigns call ids. A new call cannot get the id of a live call, of a channel, or of an ordered
 * call, because the order may be repeated. Calls are identified by their channel's id in Asterisk.
 */
export class CallIds {
  readonly #isLive: (channelId: string) => boolean;
  /** Channel id, by call id. */
  readonly #claims = new Map<string, string>();
  readonly #ordered = new Map<string, string>();
  readonly #dialogues: Dialogues;
  #sweepAt = SWEEP_EVERY;

  /** `isLive`: whether a channel has a call or dial now. */
  constructor(isLive: (channelId: string) => boolean) {
    this.#isLive = isLive;
    this.#dialogues = new Dialogues(isLive);
  }

  /**
   * Claims an externally chosen id for a channel's call. Returns whether the call gets it. It then
   * keeps it until its end.
   */
  claim(channelId: string, id: string): boolean {
    if (id !== channelId && CHANNEL_ID.test(id)) return false;
    return this.#take(channelId, id);
  }

  /**
   * Whether the channel's SIP dialogue already has a live channel, because its INVITE arrived
   * twice. Otherwise claims the dialogue for this channel.
   */
  isMerged(channelId: string, variables: Readonly<Record<string, string>>): boolean {
    return !this.#dialogues.claim(channelId, variables);
  }

  /**
   * Reserves an id for an order's call. Returns whether the call gets it. No other call gets it
   * then.
   */
  reserve(channelId: string, id: string): boolean {
    if (!this.#take(channelId, id)) return false;
    this.#ordered.set(id, channelId);
    const [oldest] = this.#ordered.keys();
    if (this.#ordered.size > ORDERED_MAX && oldest !== undefined) this.#ordered.delete(oldest);
    return true;
  }

  /** The order failed: releases its id. */
  forget(id: string): void {
    this.#ordered.delete(id);
    this.#claims.delete(id);
  }

  #take(channelId: string, id: string): boolean {
    if (id !== channelId && this.#isLive(id)) return false;
    const holder = this.#claims.get(id);
    if (holder !== undefined && holder !== channelId && this.#isLive(holder)) return false;
    const orderer = this.#ordered.get(id);
    if (orderer !== undefined && orderer !== channelId) return false;
    this.#claims.set(id, channelId);
    if (this.#claims.size >= this.#sweepAt) this.#sweep();
    return true;
  }

  #sweep(): void {
    for (const [id, channelId] of this.#claims) if (!this.#isLive(channelId)) this.#claims.delete(id);
    this.#sweepAt = this.#claims.size + SWEEP_EVERY;
  }
}
