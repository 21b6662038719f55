import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import { formatGate, gateVariable, shareVariable } from '../ari/gate-variable.ts';
import type { RefusalReason } from '../call/end-reason.ts';
import type { Logger } from '../log.ts';
import {
  type Lateness,
  lateTicksPercent,
  type OverloadLimits,
  OverloadWatch,
  type Ticks,
} from './overload.ts';

/** What the gate works with. */
export interface GateContext {
  readonly ari: Pick<AriClient, 'setGlobalVariable'>;
  readonly app: string;
  /** Read at each look. */
  readonly limits: OverloadLimits;
  /** How many calls the callers of one provider may have, where there are several providers. */
  readonly providerShare: () => number;
  /** Why no new call is taken now. Undefined if calls are taken. */
  readonly refusal: () => RefusalReason | undefined;
  /** Counters of each worker's pacer. */
  readonly ticks: () => readonly Ticks[];
  /** Called each time that the gate closes. */
  readonly onClosed: (why: RefusalReason) => void;
  readonly log: Logger;
}

const LOOK_MS = 1_000;
/** Limit for opening the gate at the stop. */
const STOP_MS = 500;
/** The event loop's delay is sampled at this interval. */
const SAMPLE_MS = 100;
/** Late ticks are those of the last looks: a worker's report may come late itself. */
const TICKS_LOOKS = 3;
/** At the limit of calls the gate closes and opens with each call. It is logged this often. */
const LOG_AGAIN_MS = 60_000;

/**
 * Tells Asterisk's dialplan whether new calls are taken. While they are not, the dialplan turns
 * callers away before they reach the Stasis app: they cost the bridge nothing. See
 * `ari/gate-variable.ts` for how. Also measures whether the bridge is overloaded.
 */
export class Gate {
  readonly #context: GateContext;
  readonly #overload: OverloadWatch;
  readonly #variable: string;
  #lateness: Lateness = { loopMs: 0, lateTicksPercent: 0 };
  /** Counters at the last looks, oldest first. */
  #ticks: (readonly Ticks[])[] = [];
  #delaysMs: number[] = [];
  #sampledMs = 0;
  #timers: NodeJS.Timeout[] = [];
  /** Whether the app is ours, so that the gate is too. */
  #isOurs = false;
  #why: RefusalReason | undefined;
  /** What was written last. Undefined: nothing yet on this connection. */
  #written: string | undefined;
  #writing: Promise<void> | undefined;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(context: GateContext) {
    this.#context = context;
    this.#overload = new OverloadWatch(context.limits);
    this.#variable = gateVariable(context.app);
  }

  /** Whether the bridge is overloaded. */
  get isOverloaded(): boolean {
    return this.#overload.isOverloaded;
  }

  /** Why the gate is closed. Undefined if it is open. */
  get why(): RefusalReason | undefined {
    return this.#why;
  }

  /** Measures from now on. */
  start(): void {
    this.#sampledMs = performance.now();
    this.#timers = [setInterval(() => this.#sample(), SAMPLE_MS), setInterval(() => this.#look(), LOOK_MS)];
  }

  /** The Stasis app is ours: the gate's state is written, whoever wrote it before. */
  take(): void {
    this.#isOurs = true;
    this.#written = undefined;
    this.limitsChanged();
  }

  /** The limits may be others than before: tells Asterisk. */
  limitsChanged(): void {
    this.check();
    if (!this.#isOurs) return;
    const { ari, app, providerShare, log } = this.#context;
    ari
      .setGlobalVariable(shareVariable(app), String(providerShare()))
      .catch((error: Error) => log.warn({ error: error.message }, 'the share of providers is not set'));
  }

  /** The app is not ours, or Asterisk does not reply: nothing is written. */
  letGo(): void {
    this.#isOurs = false;
  }

  /** Whether calls are taken may have changed: tells Asterisk at once. */
  check(): void {
    const why = this.#context.refusal();
    if (why !== this.#why) this.#changed(why);
    if (this.#isOurs) this.#write();
  }

  /**
   * Stops, and opens the gate: without a bridge the dialplan has the fallback. Waits for Asterisk
   * for a short time only.
   */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const isOurs = this.#isOurs;
    this.#isOurs = false;
    if (!isOurs) return;
    const opened = (this.#writing ?? Promise.resolve()).then(() =>
      this.#context.ari.setGlobalVariable(this.#variable, formatGate('open', Date.now())),
    );
    await Promise.race([opened.catch(() => {}), delay(STOP_MS, undefined, { ref: false })]);
  }

  #changed(why: RefusalReason | undefined): void {
    const before = this.#why;
    this.#why = why;
    const { log, onClosed } = this.#context;
    if (why !== undefined) onClosed(why);
    const isFlapping = (why ?? before) === 'at-capacity';
    const nowMs = performance.now();
    if (isFlapping && nowMs - this.#loggedMs < LOG_AGAIN_MS) return;
    if (isFlapping) this.#loggedMs = nowMs;
    if (why === undefined) log.info({ before }, 'new calls are taken again');
    else log.warn({ why, ...lateFields(why, this.#lateness) }, 'new calls are turned away');
  }

  /** One write at a time. A change meanwhile is written afterwards. Never rejects. */
  #write(): void {
    if (this.#writing !== undefined) return;
    const state = this.#why === undefined ? 'open' : this.#why === 'shutdown' ? 'stopping' : 'closed';
    const value = formatGate(state, Date.now());
    if (value === this.#written) return;
    const { ari, log } = this.#context;
    this.#writing = ari
      .setGlobalVariable(this.#variable, value)
      .then(
        () => {
          this.#written = value;
        },
        (error: Error) => {
          // The bridge itself refuses calls then. The next look tries again.
          log.debug({ error: error.message }, 'the gate could not be written');
          this.#written = undefined;
        },
      )
      .finally(() => {
        this.#writing = undefined;
        const isOpen = this.#why === undefined;
        if (this.#isOurs && this.#written !== undefined && isOpen !== (this.#written === '')) this.#write();
      });
  }

  #sample(): void {
    const nowMs = performance.now();
    this.#delaysMs.push(Math.max(0, nowMs - this.#sampledMs - SAMPLE_MS));
    this.#sampledMs = nowMs;
  }

  #look(): void {
    const { ticks } = this.#context;
    const now = ticks().map(({ ticks, lateTicks }) => ({ ticks, lateTicks }));
    const sum = this.#delaysMs.reduce((total, delayMs) => total + delayMs, 0);
    this.#lateness = {
      loopMs: sum / Math.max(1, this.#delaysMs.length),
      lateTicksPercent: lateTicksPercent(this.#ticks[0] ?? now, now),
    };
    this.#delaysMs = [];
    this.#ticks = [...this.#ticks, now].slice(-TICKS_LOOKS);
    this.#overload.look(this.#lateness);
    this.check();
  }
}

/** What was too late, for the log. */
function lateFields(why: RefusalReason, { loopMs, lateTicksPercent: percent }: Lateness) {
  if (why !== 'overload') return {};
  return { loopMs: Math.round(loopMs), lateTicksPercent: Math.round(percent) };
}
