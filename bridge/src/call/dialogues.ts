/**
 * The SIP dialogue of each channel. An INVITE that arrives over two paths (different Via, same
 * Call-ID and From tag, no To tag) makes two channels of one call. The second one is a merged
 * request (RFC 3261 section 8.2.2.2).
 */
export class Dialogues {
  readonly #isLive: (channelId: string) => boolean;
  /** Channel id, by Call-ID and From tag. */
  readonly #channels = new Map<string, string>();
  #sweepAt = SWEEP_EVERY;

  /** `isLive`: whether a channel has a call now. */
  constructor(isLive: (channelId: string) => boolean) {
    this.#isLive = isLive;
  }

  /**
   * Claims the dialogue for a channel. Returns false if another live channel has it. Returns true
   * if the From tag is unknown.
   */
  claim(channelId: string, { SIP_CALL_ID, SIP_FROM_TAG }: Readonly<Record<string, string>>): boolean {
    if (!SIP_CALL_ID || !SIP_FROM_TAG) return true;
    const dialogue = `${SIP_CALL_ID}\n${SIP_FROM_TAG}`;
    const holder = this.#channels.get(dialogue);
    if (holder !== undefined && holder !== channelId && this.#isLive(holder)) return false;
    this.#channels.set(dialogue, channelId);
    if (this.#channels.size >= this.#sweepAt) this.#sweep();
    return true;
  }

  #sweep(): void {
    for (const [dialogue, id] of this.#channels) if (!this.#isLive(id)) this.#channels.delete(dialogue);
    this.#sweepAt = this.#channels.size + SWEEP_EVERY;
  }
}

/** Dialogues of ended channels are removed each time that the map has grown by this many. */
const SWEEP_EVERY = 1_000;
