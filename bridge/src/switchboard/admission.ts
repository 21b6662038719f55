import type { RefusalReason } from '../call/end-reason.ts';
import type { Logger } from '../log.ts';
import type { Gate } from './gate.ts';
import type { HandingOver } from './handing-over.ts';

/** What decides whether a new call may begin. */
export interface AdmissionContext {
  /** Checked each time that the answer may have changed. */
  readonly gate: Pick<Gate, 'isOverloaded' | 'check'>;
  readonly handingOver: Pick<HandingOver, 'isUnderWay'>;
  readonly maxCalls: () => number;
  /** Number of calls under way or being placed. */
  readonly calls: () => number;
  readonly log: Logger;
}

/** A suspension ends by itself after this time, so that a script that dies leaves none behind. */
const SUSPENDED_MS = 10_000;

/**
 * Whether a new call may begin, and if not, why. Calls are refused for a time (`suspend`), until
 * the process ends (`drain`), or then all of them, adopted ones too (`close`).
 */
export class Admission {
  readonly #context: AdmissionContext;
  #suspendedUntilMs = 0;
  #isDraining = false;
  #isClosed = false;

  constructor(context: AdmissionContext) {
    this.#context = context;
  }

  /** Why no new call can be taken now. Undefined if one can. */
  get refusal(): RefusalReason | undefined {
    if (this.#isDraining || this.isSuspended) return 'shutdown';
    if (this.#context.gate.isOverloaded) return 'overload';
    return this.#context.calls() >= this.#context.maxCalls() ? 'at-capacity' : undefined;
  }

  /**
   * The same for a caller who had a call of another process, now gone: it goes on, even at
   * capacity.
   */
  get adoptionRefusal(): RefusalReason | undefined {
    return this.#isClosed ? 'shutdown' : undefined;
  }

  /** The same for an order to place a call: while a successor has the app, orders are for it. */
  get orderRefusal(): RefusalReason | 'handover' | undefined {
    return this.#context.handingOver.isUnderWay ? 'handover' : this.refusal;
  }

  /** Whether {@link suspend} keeps new calls away. */
  get isSuspended(): boolean {
    return performance.now() < this.#suspendedUntilMs;
  }

  /** Whether new calls are refused until the process ends. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Refuses new calls for 10 s, if this is not repeated. The calls under way go on. */
  suspend(): void {
    if (!this.isSuspended)
      this.#context.log.warn('new calls are turned away until those under way have ended');
    this.#suspendedUntilMs = performance.now() + SUSPENDED_MS;
    this.#context.gate.check();
  }

  /** Refuses new calls from now on. */
  drain(): void {
    this.#isDraining = true;
    this.#context.gate.check();
  }

  /** Refuses every call from now on, even an adopted one. */
  close(): void {
    this.#isClosed = true;
    this.drain();
  }
}
