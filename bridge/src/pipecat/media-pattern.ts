/** Times that a bot's message is learnt. A bot whose messages differ in more than the payload is then parsed. */
const LEARN_TRIES_MAX = 8;
/** Consecutive media messages that do not match before the pattern is learnt anew. */
const MISSES_MAX = 3;
/** All but the payload; a call keeps no more than this. */
const MAX_CHARS = 1_024;
/** Put in place of the payload to prove where it is. Two, because the payload itself may be one of them. */
const PROBES = ['QUJD', 'REVG'];
/** Bots of a kind send the same: their calls share its bytes, which so stay in the processor's cache. The last few are kept. */
const SHARED_MAX = 64;
const shared = new Map<string, Buffer<ArrayBuffer>>();

/**
 * What a bot's media messages have in common. Most bots send the same text fifty times a second but for the payload: such a message is
 * known by its beginning and its end, and needs no JSON parser.
 */
export class MediaPattern {
  /** Where the payload of the message that `find` found lies, if it is base64. */
  start = 0;
  end = 0;
  readonly #payloadOf: (text: string) => string | undefined;
  #head: Buffer | undefined;
  #tail = Buffer.alloc(0);
  #learnTries = 0;
  /** Media messages in a row that were not like the one learnt. */
  #misses = 0;

  /** `payloadOf` parses a message, and says what its payload is if it is one with audio. */
  constructor(payloadOf: (text: string) => string | undefined) {
    this.#payloadOf = payloadOf;
  }

  /**
   * Is the message `bytes[start..end)` like the one learnt? Then it is that one with another payload, provided that the payload holds
   * nothing but base64, which needs no escapes in JSON.
   */
  find(bytes: Buffer, start: number, end: number): boolean {
    const head = this.#head;
    const tail = this.#tail;
    if (head === undefined || end - start < head.length + tail.length) return false;
    for (let i = 0; i < head.length; i++) if (bytes[start + i] !== head[i]) return false;
    const tailAt = end - tail.length;
    for (let i = 0; i < tail.length; i++) if (bytes[tailAt + i] !== tail[i]) return false;
    this.start = start + head.length;
    this.end = tailAt;
    this.#misses = 0;
    return true;
  }

  /** Learns from a media message that `find` did not find, and its payload. False: it is not of that kind, or not of the usual one. */
  learn(text: string, payload: string): boolean {
    this.#misses += 1;
    if (this.#head !== undefined && this.#misses <= MISSES_MAX) return false;
    if (this.#learnTries === LEARN_TRIES_MAX || payload === '' || text.length - payload.length > MAX_CHARS)
      return false;
    const at = text.indexOf(payload);
    // Escaped it is not found.
    if (at < 0) return false;
    this.#learnTries += 1;
    const head = text.slice(0, at);
    const tail = text.slice(at + payload.length);
    // What is found may be another value. What a parser makes of it decides.
    if (PROBES.some((text) => this.#payloadOf(`${head}${text}${tail}`) !== text)) return false;
    this.#head = bytesOf(head);
    this.#tail = bytesOf(tail);
    this.#misses = 0;
    return true;
  }
}

function bytesOf(text: string): Buffer<ArrayBuffer> {
  const own = Buffer.from(text);
  // Not the text: it is a slice of its message, all of which it would keep.
  const key = own.toString('latin1');
  const bytes = shared.get(key) ?? own;
  shared.delete(key);
  shared.set(key, bytes);
  for (const oldest of shared.keys()) if (shared.size > SHARED_MAX) shared.delete(oldest);
  return bytes;
}
