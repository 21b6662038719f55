/** Times that the pattern of a bot's messages is learnt. After that its messages are parsed. */
const LEARN_TRIES_MAX = 8;
/** Consecutive media messages that do not match before the pattern is learnt anew. */
const MISSES_MAX = 3;
/** Longest message without its payload that a call stores. */
const MAX_CHARS = 1_024;
/**
 * Replace the payload to verify its position. Two, because the payload itself may equal one of
 * them.
 */
const PROBES = ['QUJD', 'REVG'];
/**
 * Calls whose bots send the same text share its bytes, so that they stay in the CPU cache. This
 * many texts are kept.
 */
const SHARED_MAX = 64;
const shared = new Map<string, Buffer<ArrayBuffer>>();

/**
 * The constant part of a bot's media messages. Most bots send the same text except for the payload,
 * 50 times per second. Such a message is recognized by its beginning and end, without a JSON
 * parser.
 */
export class MediaPattern {
  /** Position of the payload of the message that `find` found, if it is base64. */
  start = 0;
  end = 0;
  readonly #payloadOf: (text: string) => string | undefined;
  #head: Buffer | undefined;
  #tail = Buffer.alloc(0);
  #learnTries = 0;
  /** Consecutive media messages that did not match. */
  #misses = 0;

  /** `payloadOf` parses a message and returns its payload if it has audio. */
  constructor(payloadOf: (text: string) => string | undefined) {
    this.#payloadOf = payloadOf;
  }

  /**
   * Whether the message `bytes[start..end)` matches the pattern. Then it is the learnt message with
   * another payload, provided that the payload is base64, which needs no escapes in JSON.
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

  /**
   * Learns from a media message that `find` did not find, and its payload. Returns false if the
   * message has no usable pattern.
   */
  learn(text: string, payload: string): boolean {
    this.#misses += 1;
    if (this.#head !== undefined && this.#misses <= MISSES_MAX) return false;
    if (this.#learnTries === LEARN_TRIES_MAX || payload === '' || text.length - payload.length > MAX_CHARS)
      return false;
    const at = text.indexOf(payload);
    // An escaped payload is not found.
    if (at < 0) return false;
    this.#learnTries += 1;
    const head = text.slice(0, at);
    const tail = text.slice(at + payload.length);
    // The found text may be another value of the message. Parse it with other payloads to verify.
    if (PROBES.some((text) => this.#payloadOf(`${head}${text}${tail}`) !== text)) return false;
    this.#head = bytesOf(head);
    this.#tail = bytesOf(tail);
    this.#misses = 0;
    return true;
  }
}

function bytesOf(text: string): Buffer<ArrayBuffer> {
  const own = Buffer.from(text);
  // Not the text itself: it is a slice of its message and would keep all of it in memory.
  const key = own.toString('latin1');
  const bytes = shared.get(key) ?? own;
  shared.delete(key);
  shared.set(key, bytes);
  for (const oldest of shared.keys()) if (shared.size > SHARED_MAX) shared.delete(oldest);
  return bytes;
}
