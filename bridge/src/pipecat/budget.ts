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

/** An amount that refills with time and may be overdrawn. */
class Allowance {
  readonly #perMs: number;
  readonly #max: number;
  /** What is left; negative: overdrawn. */
  left: number;

  constructor(perSecond: number, burstS: number) {
    this.#perMs = perSecond / 1_000;
    this.#max = perSecond * burstS;
    this.left = this.#max;
  }

  refill(ms: number): void {
    this.left = Math.min(this.#max, this.left + ms * this.#perMs);
  }

  /** Until there is something again, ms. */
  get waitMs(): number {
    return this.left >= 0 ? 0 : -this.left / this.#perMs + READ_AT_LEAST_MS;
  }
}

/**
 * One call's share of its media worker: what its bot sends is taken off, and time gives it back. Of the call, not of a connection: a
 * bot that comes back has no more than it had. Spending never fails: who spends too much is read later, and not at all in the end.
 */
export class Budget {
  readonly #messages: Allowance;
  readonly #controls: Allowance;
  readonly #orders: Allowance;
  readonly #bytes: Allowance;
  readonly #overMs: number;
  #atMs = Number.NEGATIVE_INFINITY;
  #heldBackMs = 0;
  /** Times that the socket was not read because too much had come, and for how long, ms. */
  readonly stats = { pauses: 0, pausedMs: 0 };

  constructor(limits: BudgetLimits) {
    const { burstS } = limits;
    this.#messages = new Allowance(limits.messagesPerSecond, burstS);
    this.#controls = new Allowance(limits.controlsPerSecond, burstS);
    this.#orders = new Allowance(limits.ordersPerSecond, burstS);
    this.#bytes = new Allowance(limits.bytesPerSecond, burstS);
    this.#overMs = limits.overMs;
  }

  /** Time has passed: to be called before anything of a turn is spent. */
  refill(nowMs: number): void {
    const ms = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (!(ms > 0 && ms < Number.POSITIVE_INFINITY)) return;
    this.#messages.refill(ms);
    this.#controls.refill(ms);
    this.#orders.refill(ms);
    this.#bytes.refill(ms);
    this.#heldBackMs = Math.max(0, this.#heldBackMs - ms * FORGIVEN);
  }

  /** Bytes came. */
  bytes(count: number): void {
    this.#bytes.left -= count;
  }

  /** A frame came, or a piece of one. */
  message(): void {
    this.#messages.left -= 1;
  }

  /** It was a message other than media, or a control frame. */
  control(): void {
    this.#controls.left -= 1;
  }

  /** The bot wants something done beyond its socket. False: it must not be. */
  order(): boolean {
    if (this.#orders.left < 1) return false;
    this.#orders.left -= 1;
    return true;
  }

  /** Whether more came than may. */
  get isOver(): boolean {
    return this.#messages.left < 0 || this.#controls.left < 0 || this.#bytes.left < 0;
  }

  /** The socket will not be read for a while: for how long, ms. Undefined: it has been held back long enough, close it. */
  pause(): number | undefined {
    if (this.#heldBackMs >= this.#overMs) return undefined;
    const waitMs = Math.ceil(Math.max(this.#messages.waitMs, this.#controls.waitMs, this.#bytes.waitMs));
    this.#heldBackMs += waitMs;
    this.stats.pauses += 1;
    this.stats.pausedMs += waitMs;
    return waitMs;
  }
}
