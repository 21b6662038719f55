/**
 * Which channel has which SIP dialogue. An INVITE that comes by two ways (other Via, same Call-ID and From tag, no To tag) makes two
 * channels of one call: the second is a merged request (RFC 3261 section 8.2.2.2).
 */
export class Dialogues {
  readonly #isLive: (channelId: string) => boolean;
  /** By Call-ID and From tag, the channel. */
  readonly #channels = new Map<string, string>();
  #sweepAt = SWEEP_EVERY;

  /** `isLive`: whether there is a call on a channel now. */
  constructor(isLive: (channelId: string) => boolean) {
    this.#isLive = isLive;
  }

  /** False where another channel has this dialogue and lives. Of a channel whose tag is not known nothing is said: true. */
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

/** Channels that have ended are looked for when there are so many more. */
const SWEEP_EVERY = 1_000;
