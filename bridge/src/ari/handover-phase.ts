/**
 * Whose the shared app is.
 *
 * - `ours`: it is ours, or we try to get it.
 * - `moving`: a successor has asked. Our channels move to an app of our own.
 * - `ready`: the successor is told that it may take the app.
 * - `over`: another process has the app. Our calls are in our own one, and go on.
 * - `lost`: another process has the app, and our calls with it. We have none any more.
 */
export type Phase = 'ours' | 'moving' | 'ready' | 'over' | 'lost';

/** The phases that may follow each phase. */
const NEXT: Readonly<Record<Phase, readonly Phase[]>> = {
  ours: ['moving', 'over', 'lost'],
  moving: ['ready', 'ours', 'over', 'lost'],
  ready: ['ours', 'over', 'lost'],
  over: ['ours'],
  lost: ['ours'],
};

/**
 * The handover of the shared app, as its holder sees it. Each step of a handover is a request, and
 * another process may take the app while its answer is awaited. A step that comes too late then
 * changes nothing: its round has ended.
 */
export class HandoverPhase {
  #phase: Phase = 'ours';
  #successor = '';
  #round = 0;

  get current(): Phase {
    return this.#phase;
  }

  /** The process that asked last. Empty: none has. */
  get successor(): string {
    return this.#successor;
  }

  /** A successor is being served. It may have the app at any time. */
  get isUnderWay(): boolean {
    return this.#phase === 'moving' || this.#phase === 'ready';
  }

  /** Another process has the app. */
  get isElsewhere(): boolean {
    return this.#phase === 'over' || this.#phase === 'lost';
  }

  /** A successor asks. Returns the number of this handover. */
  begin(successor: string): number {
    this.to('moving');
    this.#successor = successor;
    this.#round += 1;
    return this.#round;
  }

  /** Whether the handover of this number is still under way. */
  isIn(round: number): boolean {
    return this.isUnderWay && round === this.#round;
  }

  /** Throws if the phase may not follow the current one. */
  to(phase: Phase): void {
    if (!NEXT[this.#phase].includes(phase)) throw new RangeError(`no phase ${phase} after ${this.#phase}`);
    this.#phase = phase;
  }
}
