/** Limits of what one bot may send. Plain data: it crosses to a worker thread. */
export interface BudgetLimits {
  /** WebSocket frames of any kind. */
  readonly messagesPerSecond: number;
  /** Frames other than media: messages, pings and pongs. */
  readonly controlsPerSecond: number;
  /**
   * Messages with an effect outside the bot's socket: a transfer, DTMF, a pause of the recording.
   */
  readonly ordersPerSecond: number;
  readonly bytesPerSecond: number;
  /** Burst that is allowed, in seconds at the full rate. */
  readonly burstS: number;
  /**
   * Time after which a bot that was held back is disconnected, ms. Time within the limits reduces
   * it.
   */
  readonly overMs: number;
}

/** No limits. */
export const NO_LIMITS: BudgetLimits = {
  messagesPerSecond: Number.MAX_SAFE_INTEGER,
  controlsPerSecond: Number.MAX_SAFE_INTEGER,
  ordersPerSecond: Number.MAX_SAFE_INTEGER,
  bytesPerSecond: Number.MAX_SAFE_INTEGER,
  burstS: 1,
  overMs: Number.MAX_SAFE_INTEGER,
};

/** Share of the elapsed time that is subtracted from the time that a bot was held back. */
const FORGIVEN = 0.25;
/** Shortest time that a socket is read after a pause, ms: a wake-up costs more than a message. */
const READ_AT_LEAST_MS = 20;

/** Tolerance for rounding errors of sums, ms. An order costs at least a hundred times as much. */
const ROUNDING_MS = 0.01;

/** Kinds of limits. */
const MESSAGES = 0;
const CONTROLS = 1;
const BYTES = 2;
const ORDERS = 3;
const KINDS = 4;

/**
 * Rate limits of one call's bot. They belong to the call, not to a connection: a bot that
 * reconnects does not get a new budget. Charging never fails: a bot over its limits is read later,
 * and is disconnected in the end.
 *
 * Each kind is a leaky bucket (ITU-T I.371: generic cell rate algorithm, virtual scheduling). Each
 * item costs time, and the state is the time until which all received items are paid for. So no
 * work is needed as time passes, and the data that a message touches fits into 64 bytes.
 */
export class Budget {
  /**
   * First the cost of one item of each kind, ms. Then, for each kind, the time until which received
   * items are paid for, ms.
   */
  readonly #times = new Float64Array(2 * KINDS).fill(Number.NEGATIVE_INFINITY);
  readonly #burstMs: number;
  readonly #overMs: number;
  #nowMs = Number.NEGATIVE_INFINITY;
  /** How long the bot was held back, less what was subtracted, and when that was computed. */
  #heldBackMs = 0;
  #heldBackAtMs = Number.NEGATIVE_INFINITY;
  /**
   * Number of times that the socket was not read because the bot was over its limits, and for how
   * long, ms.
   */
  readonly stats = { pauses: 0, pausedMs: 0 };

  constructor(limits: BudgetLimits) {
    this.#burstMs = limits.burstS * 1_000 + ROUNDING_MS;
    this.#overMs = limits.overMs;
    this.#times[MESSAGES] = 1_000 / limits.messagesPerSecond;
    this.#times[CONTROLS] = 1_000 / limits.controlsPerSecond;
    this.#times[BYTES] = 1_000 / limits.bytesPerSecond;
    this.#times[ORDERS] = 1_000 / limits.ordersPerSecond;
  }

  /** Sets the current time (monotonic clock, ms). Call it before charging. */
  at(nowMs: number): this {
    if (nowMs > this.#nowMs) this.#nowMs = nowMs;
    return this;
  }

  /** Charges frames, or parts of one, and their bytes. */
  came(messages: number, bytes: number): void {
    this.#spend(MESSAGES, messages);
    this.#spend(BYTES, bytes);
  }

  /** Charges a message other than media, or a control frame. */
  control(): void {
    this.#spend(CONTROLS, 1);
  }

  /** Charges an order: a message with an effect outside the bot's socket. False: refuse it. */
  order(): boolean {
    const costMs = this.#times[ORDERS] as number;
    if (this.#aheadMs(ORDERS) + costMs > this.#burstMs) return false;
    this.#spend(ORDERS, 1);
    return true;
  }

  /**
   * Whether the bot is over its limits. `lateMessages` and `lateBytes` may have arrived long before
   * they were charged, and are tolerated.
   */
  isOver(lateMessages: number, lateBytes: number): boolean {
    const limitMs = this.#nowMs + this.#burstMs;
    const times = this.#times;
    return (
      (times[KINDS + MESSAGES] as number) > limitMs + lateMessages * (times[MESSAGES] as number) ||
      (times[KINDS + CONTROLS] as number) > limitMs ||
      (times[KINDS + BYTES] as number) > limitMs + lateBytes * (times[BYTES] as number)
    );
  }

  /**
   * Time for which the socket is not read now, ms. Undefined: it was held back for too long, so
   * close it.
   */
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

  /** Time until items of a kind are allowed again, ms. */
  #waitMs(kind: number): number {
    const overMs = this.#aheadMs(kind) - this.#burstMs;
    return overMs > 0 ? overMs + READ_AT_LEAST_MS : 0;
  }

  /** Time by which received items of a kind exceed the time paid for, ms. */
  #aheadMs(kind: number): number {
    return Math.max(0, (this.#times[KINDS + kind] as number) - this.#nowMs);
  }

  #spend(kind: number, count: number): void {
    const times = this.#times;
    const paidMs = times[KINDS + kind] as number;
    times[KINDS + kind] = Math.max(paidMs, this.#nowMs) + count * (times[kind] as number);
  }
}
