import { setTimeout as delay } from 'node:timers/promises';
import { type EndReason, treatmentOf } from './end-reason.ts';
import { insist } from './insist.ts';

/** Thrown in a call's steps if the call has ended meanwhile. */
export class CallEnded extends Error {}

/** A hang-up's cause, if any, arrives shortly after the hang-up itself. */
const CAUSE_WAIT_MS = 200;

/**
 * The end of a call: its reason (the first wins), how the caller left, and who waits for the end.
 */
export class Ending {
  /** Fires when the call has ended and no more audio is to be played. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #causeKnown = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<never>();
  #reason: EndReason | undefined;
  #cause: number | undefined;
  #sipStatus: number | undefined;
  #callerGone = false;
  #isOver = false;
  #isDecided = false;

  constructor() {
    this.signal = this.#abort.signal;
    // Without a waiter the rejection would count as unhandled.
    this.#ended.promise.catch(() => {});
  }

  /** The first reason that was given. */
  get reason(): EndReason | undefined {
    return this.#reason;
  }

  /** Final SIP status of a callee who refused. */
  get sipStatus(): number | undefined {
    return this.#sipStatus;
  }

  /** Whether the caller's channel has ended, or the other side is hanging it up. */
  get callerGone(): boolean {
    return this.#callerGone;
  }

  /** Whether the call was ended. Queued audio may still be played. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sets the reason without ending the call. */
  because(reason: EndReason): void {
    this.#reason ??= reason;
  }

  /** Ends the call. Stops playing at once, unless the reason lets queued audio be played. */
  end(reason: EndReason): void {
    // A caller whom we have not released yet continues in the other process.
    const isTransferred = this.#isOver && this.#reason?.kind === 'transferred';
    const isOurs = !this.#isDecided && !this.#callerGone && !isTransferred;
    if (reason.kind === 'taken-over' && isOurs) this.#reason = reason;
    this.because(reason);
    this.#isOver = true;
    this.#ended.reject(new CallEnded(reason.kind));
    if (!treatmentOf(reason).drain) this.abort();
  }

  /** The caller is being released: the reason does not change any more. */
  decide(): EndReason {
    this.#isDecided = true;
    return this.#reason ?? { kind: 'setup-failed', detail: 'ended without a reason' };
  }

  /**
   * Ends the call if its set-up takes too long, in whichever step. No caller hears ringing for
   * ever.
   */
  async bound(setUp: Promise<void>, limitMs: number | undefined): Promise<void> {
    const late = () => this.end({ kind: 'setup-failed', detail: 'the set-up took too long' });
    const limit = limitMs === undefined ? undefined : setTimeout(late, limitMs);
    await setUp.finally(() => clearTimeout(limit));
  }

  /** The caller left. With a Q.850 cause and a SIP status, if they are known. */
  callerWent(cause: number | undefined, sipStatus: number | undefined): void {
    this.#callerGone = true;
    this.#sipStatus ??= sipStatus;
    if (cause === undefined || cause <= 0) return;
    this.#cause ??= cause;
    this.#causeKnown.resolve();
  }

  /** We hang up a callee as if they had refused. */
  refused({ cause, sipStatus }: { readonly cause: number; readonly sipStatus: number }): void {
    this.#cause ??= cause;
    this.#sipStatus ??= sipStatus;
  }

  /** Stops playing. */
  abort(): void {
    this.#abort.abort();
  }

  /** Rejects with {@link CallEnded} when the call ends. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  /** The step's result. Rejects as soon as the call ends. */
  orEnd<T>(step: Promise<T>): Promise<T> {
    return Promise.race([this.#ended.promise, step]);
  }

  /** As {@link orEnd}, for a request that is repeated without a reply: see {@link insist}. */
  insist(step: () => Promise<void>): Promise<void> {
    return this.orEnd(insist(step, this.signal));
  }

  /**
   * As {@link orEnd}, for a step that opens something. If it opens after the end, it is closed at
   * once.
   */
  async openOrEnd<T extends { close(): Promise<unknown> }>(opening: Promise<T>): Promise<T> {
    try {
      return await this.orEnd(opening);
    } catch (error) {
      opening.then((late) => late.close()).catch(() => {});
      throw error;
    }
  }

  /**
   * Resolves when the call has ended, or after a wait for the event of an end that made a step
   * fail.
   */
  async soon(): Promise<void> {
    await Promise.race([this.#ended.promise.catch(() => {}), delay(CAUSE_WAIT_MS)]);
  }

  /** The Q.850 cause: the caller's own, which may arrive a little later, else `ours`. */
  async cause(ours: number): Promise<number> {
    if (this.#callerGone && this.#cause === undefined)
      await Promise.race([this.#causeKnown.promise, delay(CAUSE_WAIT_MS)]);
    return this.#cause ?? ours;
  }
}
