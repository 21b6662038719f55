import { setTimeout as delay } from 'node:timers/promises';
import { type EndReason, treatmentOf } from './end-reason.ts';
import { insist } from './insist.ts';

/** Thrown inside a call's steps when the call has ended meanwhile. */
export class CallEnded extends Error {}

/** The cause of a caller's hang-up comes right behind the hang-up itself, if at all. */
const CAUSE_WAIT_MS = 200;

/** Why a call ends: the first reason wins. It also knows how the caller went, and who waits for the end. */
export class Ending {
  /** Fires when the call ends and nothing more is to be played. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #causeKnown = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<never>();
  #reason: EndReason | undefined;
  #cause: number | undefined;
  #sipStatus: number | undefined;
  #callerGone = false;
  #isOver = false;

  constructor() {
    this.signal = this.#abort.signal;
    // Nobody may be waiting when the call ends: that is no unhandled rejection.
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

  /** Whether the caller's channel has ended, or is being hung up by the other side. */
  get callerGone(): boolean {
    return this.#callerGone;
  }

  /** Whether the call has been ended, if only after last words. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Gives a reason without ending the call: it is the one that counts when it ends. */
  because(reason: EndReason): void {
    this.#reason ??= reason;
  }

  /** Ends the call; one whose reason leaves no last words ends at once. */
  end(reason: EndReason): void {
    // One that is not over yet goes on in the other process, whatever it is to end for there.
    if (reason.kind === 'taken-over' && !this.#isOver) this.#reason = reason;
    this.because(reason);
    this.#isOver = true;
    this.#ended.reject(new CallEnded(reason.kind));
    if (!treatmentOf(reason).drain) this.abort();
  }

  /** Ends the call where its set-up takes longer: no caller hears ringing for ever, whichever step it is. */
  async bound(setUp: Promise<void>, limitMs: number | undefined): Promise<void> {
    const late = () => this.end({ kind: 'setup-failed', detail: 'the set-up took too long' });
    const limit = limitMs === undefined ? undefined : setTimeout(late, limitMs);
    await setUp.finally(() => clearTimeout(limit));
  }

  /** The caller went, with a Q.850 cause and a SIP status where they are known. */
  callerWent(cause: number | undefined, sipStatus: number | undefined): void {
    this.#callerGone = true;
    this.#sipStatus ??= sipStatus;
    if (cause === undefined || cause <= 0) return;
    this.#cause ??= cause;
    this.#causeKnown.resolve();
  }

  /** A callee is hung up by us as if they had refused. */
  refused({ cause, sipStatus }: { readonly cause: number; readonly sipStatus: number }): void {
    this.#cause ??= cause;
    this.#sipStatus ??= sipStatus;
  }

  /** Nothing more is played. */
  abort(): void {
    this.#abort.abort();
  }

  /** Rejects with {@link CallEnded} as soon as the call ends. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  /** The step's result, or a throw as soon as the call ends. */
  orEnd<T>(step: Promise<T>): Promise<T> {
    return Promise.race([this.#ended.promise, step]);
  }

  /** The same of a request that is sent again where Asterisk gives no reply: see {@link insist}. */
  insist(step: () => Promise<void>): Promise<void> {
    return this.orEnd(insist(step, this.signal));
  }

  /** The same of a step that opens something: what is open only after the call's end is closed at once. */
  async openOrEnd<T extends { close(): Promise<unknown> }>(opening: Promise<T>): Promise<T> {
    try {
      return await this.orEnd(opening);
    } catch (error) {
      opening.then((late) => late.close()).catch(() => {});
      throw error;
    }
  }

  /** Resolves when the call has ended, or after the time in which the event of an end comes that has made a step fail. */
  async soon(): Promise<void> {
    await Promise.race([this.#ended.promise.catch(() => {}), delay(CAUSE_WAIT_MS)]);
  }

  /** The caller's own cause, for which it waits a little, or the one that goes with our reason. */
  async cause(ours: number): Promise<number> {
    if (this.#callerGone && this.#cause === undefined)
      await Promise.race([this.#causeKnown.promise, delay(CAUSE_WAIT_MS)]);
    return this.#cause ?? ours;
  }
}
