import { Dialogues } from './dialogues.ts';

const ID_MAX_CHARS = 128;
/** Controls, marks that change how text is shown, line ends and half surrogate pairs: no log, terminal or URL carries these well. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/** Asterisk's own ids of channels (`SYSTEM-1763800000.42`), and those that we choose. */
const CHANNEL_ID = /^(?:[\w.-]+-)?\d{10}\.\d+$|^pc[a-z]?-/;
/** Ids of orders that are kept from all others after their calls; beyond it the oldest are free again. */
const ORDERED_MAX = 10_000;
/** Claims of calls that have ended are looked for when there are so many more. */
const SWEEP_EVERY = 1_000;

/** Whether a text from outside can be a call's id: short, printable, and a part of a URL's path that no client takes for a folder. */
export function isUsableId(id: string | undefined): id is string {
  return id !== undefined && id.length <= ID_MAX_CHARS && !UNPRINTABLE.test(id) && !/^[\s.]*$/.test(id);
}

/**
 * Who has which call id: of two calls under way the later one does not get the id of the former, nor the id of a channel, nor that of
 * a call that was ordered (its order may come again). Channels are known by their ids in Asterisk.
 */
export class CallIds {
  readonly #isLive: (channelId: string) => boolean;
  /** By call id, the channel. */
  readonly #claims = new Map<string, string>();
  readonly #ordered = new Map<string, string>();
  readonly #dialogues: Dialogues;
  #sweepAt = SWEEP_EVERY;

  /** `isLive`: whether there is a call or dial on a channel now. */
  constructor(isLive: (channelId: string) => boolean) {
    this.#isLive = isLive;
    this.#dialogues = new Dialogues(isLive);
  }

  /** Whether a channel's call may have an id that somebody outside chose; then it has it as long as it lives. */
  claim(channelId: string, id: string): boolean {
    if (id !== channelId && CHANNEL_ID.test(id)) return false;
    return this.#take(channelId, id);
  }

  /** Whether a channel's SIP dialogue is another's that lives: its INVITE came twice. Else it has it from now on. */
  isMerged(channelId: string, variables: Readonly<Record<string, string>>): boolean {
    return !this.#dialogues.claim(channelId, variables);
  }

  /** Whether an order's call may have its id; then nobody else gets it from now on. */
  reserve(channelId: string, id: string): boolean {
    if (!this.#take(channelId, id)) return false;
    this.#ordered.set(id, channelId);
    const [oldest] = this.#ordered.keys();
    if (this.#ordered.size > ORDERED_MAX && oldest !== undefined) this.#ordered.delete(oldest);
    return true;
  }

  /** The order came to nothing. */
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
