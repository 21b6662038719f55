/** What one bot may ask of the bridge: plain data, crosses to a worker thread. */
export interface BudgetLimits {
  /** Frames of its WebSocket, whatever they are. */
  readonly messagesPerSecond: number;
  /** Of these: messages other than media, pings and pongs. */
  readonly controlsPerSecond: number;
  /** Of these: what reaches beyond the bot's socket, such as a transfer, keys, a pause of the recording. */
  readonly ordersPerSecond: number;
  readonly bytesPerSecond: number;
  /** So many seconds' worth may come at once. */
  readonly burstS: number;
  /** A bot that is held back for so long in all is closed; times within the limits make up for it. */
  readonly overMs: number;
}

/** As much as anybody likes. */
export const NO_LIMITS: BudgetLimits = {
  messagesPerSecond: Number.MAX_SAFE_INTEGER,
  controlsPerSecond: Number.MAX_SAFE_INTEGER,
  ordersPerSecond: Number.MAX_SAFE_INTEGER,
  bytesPerSecond: Number.MAX_SAFE_INTEGER,
  burstS: 1,
  overMs: Number.MAX_SAFE_INTEGER,
};

/** Of the time that passes, so much is taken off the time that a bot was held back. */
const FORGIVEN = 0.25;
/** A socket that was held back is read again for at least so long: a wake-up for each message would cost more than it. */
const READ_AT_LEAST_MS = 20;

/** Sums of fractions are not exact: so much is no excess, ms. The least that an order costs is a hundred times as much. */
const ROUNDING_MS = 0.01;

/** What is limited. */
const MESSAGES = 0;
const CONTROLS = 1;
const BYTES = 2;
const ORDERS = 3;
const KINDS = 4;

/**
 * One call's share of its media worker: what its bot sends is taken off, and time gives it back. Of the call, not of a connection: a
 * bot that comes back has no more than it had. Spending never fails: who spends too much is read later, and not at all in the end.
 *
 * Each kind is a leaky bucket as ITU-T I.371 has it (generic cell rate algorithm, virtual scheduling): each piece costs time, and
 * what it keeps is until when all that came is paid for. So nothing is to be done as time passes, and all of a call that a message
 * touches lies in 64 bytes.
 */
export class Budget {
  /** By kind: what one costs, ms; then until when what came is paid for, ms. */
  readonly #times = new Float64Array(2 * KINDS).fill(Number.NEGATIVE_INFINITY);
  readonly #burstMs: number;
  readonly #overMs: number;
  #nowMs = Number.NEGATIVE_INFINITY;
  /** How long the bot had been held back, less what was forgiven, and when that was so. */
  #heldBackMs = 0;
  #heldBackAtMs = Number.NEGATIVE_INFINITY;
  /** Times that the socket was not read because too much had come, and for how long, ms. */
  readonly stats = { pauses: 0, pausedMs: 0 };

  constructor(limits: BudgetLimits) {
    this.#burstMs = limits.burstS * 1_000 + ROUNDING_MS;
    this.#overMs = limits.overMs;
    this.#times[MESSAGES] = 1_000 / limits.messagesPerSecond;
    this.#times[CONTROLS] = 1_000 / limits.controlsPerSecond;
    this.#times[BYTES] = 1_000 / limits.bytesPerSecond;
    this.#times[ORDERS] = 1_000 / limits.ordersPerSecond;
  }

  /** It is so late, by a monotonic clock: to be called before anything is spent. */
  at(nowMs: number): this {
    if (nowMs > this.#nowMs) this.#nowMs = nowMs;
    return this;
  }

  /** So many frames, or pieces of one, came, with so many bytes. */
  came(messages: number, bytes: number): void {
    this.#spend(MESSAGES, messages);
    this.#spend(BYTES, bytes);
  }

  /** Of the frames one was a message other than media, or a control frame. */
  control(): void {
    this.#spend(CONTROLS, 1);
  }

  /** The bot wants something done beyond its socket. False: it must not be. */
  order(): boolean {
    const costMs = this.#times[ORDERS] as number;
    if (this.#aheadMs(ORDERS) + costMs > this.#burstMs) return false;
    this.#spend(ORDERS, 1);
    return true;
  }

  /** Whether more came than may, if so many messages and bytes may have come long before they were charged. */
  isOver(lateMessages: number, lateBytes: number): boolean {
    const limitMs = this.#nowMs + this.#burstMs;
    const times = this.#times;
    return (
      (times[KINDS + MESSAGES] as number) > limitMs + lateMessages * (times[MESSAGES] as number) ||
      (times[KINDS + CONTROLS] as number) > limitMs ||
      (times[KINDS + BYTES] as number) > limitMs + lateBytes * (times[BYTES] as number)
    );
  }

  /** The socket will not be read for a while: for how long, ms. Undefined: it has been held back long enough, close it. */
  pause(): number | undefined {
    const forgivenMs = (this.#nowMs - this.#heldBackAtMs) * FORGIVEN;
    const heldBackMs = Math.max(0, this.#heldBackMs - forgivenMs);
    if (heldBackMs >= this.#overMs) return undefined;
    const waitMs = Math.ceil(Math.max(this.#waitMs(MESSAGES), this.#waitMs(CONTROLS), this.#waitMs(BYTES)));
    this.#heldBackMs = heldBackMs + waitMs;
    this.#heldBackAtMs = this.#nowMs;
    this.stats.pauses += 1;
    this.stats.pausedMs += waitMs;
    return waitMs;
  }

  /** Until there is something of a kind again, ms. */
  #waitMs(kind: number): number {
    const overMs = this.#aheadMs(kind) - this.#burstMs;
    return overMs > 0 ? overMs + READ_AT_LEAST_MS : 0;
  }

  /** How much more of a kind has come than is paid for, ms. */
  #aheadMs(kind: number): number {
    return Math.max(0, (this.#times[KINDS + kind] as number) - this.#nowMs);
  }

  #spend(kind: number, count: number): void {
    const times = this.#times;
    const paidMs = times[KINDS + kind] as number;
    times[KINDS + kind] = Math.max(paidMs, this.#nowMs) + count * (times[kind] as number);
  }
}
