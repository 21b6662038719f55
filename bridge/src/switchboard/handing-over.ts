import type { Gate } from './gate.ts';
import type { OthersDials } from './others-dials.ts';
import type { Predecessors } from './predecessors.ts';

/** What a handover concerns. */
export interface HandingOverContext {
  readonly gate: Pick<Gate, 'letGo'>;
  readonly predecessors: Pick<Predecessors, 'stepBack'>;
  readonly others: OthersDials;
}

/** Whether a new process of the bridge takes the new calls, while ours go on here. */
export class HandingOver {
  readonly #context: HandingOverContext;
  #isUnderWay = false;
  #completedMs: number | undefined;

  constructor(context: HandingOverContext) {
    this.#context = context;
  }

  /** A successor has the app, or is about to. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Since when a successor has the app, monotonic ms. Undefined: none has. */
  get completedMs(): number | undefined {
    return this.#completedMs;
  }

  /** A successor asks for the app: new orders are for it. */
  begin(): void {
    this.#isUnderWay = true;
    this.#context.predecessors.stepBack(true);
  }

  /**
   * Another process has the app, asked or not: the gate and the dials of other clients are its own.
   * From here on this process ends as after each handover (`departure.ts`).
   */
  complete(): void {
    this.begin();
    this.#completedMs ??= performance.now();
    this.#context.gate.letGo();
    this.#context.others.letGo();
  }

  /** The successor is gone: new calls and orders come here again. */
  end(): void {
    this.#isUnderWay = false;
    this.#completedMs = undefined;
    this.#context.predecessors.stepBack(false);
  }

  /** Whether a channel in the app stays ours when a successor takes the app. */
  staysOurs(channelId: string): boolean {
    return !this.#context.others.all.has(channelId);
  }
}
