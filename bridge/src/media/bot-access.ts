import type { Logger } from '../log.ts';
import { Breaker, type BreakerLimits } from './breaker.ts';

/** A call's media, as `BotAccess` sees it. */
export interface BotSeeker {
  /** The bot's URL as the operator wrote it, without query and credentials. */
  readonly botName: string;
  /** It may try to connect now. Called later, not while it asks. */
  admitted(): void;
}

/** Failed tries in a row after which a bot counts as down. */
const FAILURES_MAX = 3;
/** Pauses between tries while a bot is down. Each call of 10 s of ringing is in time for one. */
const PAUSES = { firstPauseMs: 250, mostPauseMs: 4_000 };
/** A try without a result for this time counts as failed. */
const TRY_MS = 3_000;
/** A bot that was down and that no call asks for is forgotten after this time. */
const FORGET_MS = 60_000;

/** Which calls may try to connect to a bot: one breaker a bot, for the calls of all workers. */
export class BotAccess {
  readonly #limits: BreakerLimits & { perSecond: number };
  readonly #log: Logger;
  readonly #breakers = new Map<string, Breaker<BotSeeker>>();
  #timer: NodeJS.Timeout | undefined;
  /** Tries that failed, and times that a bot was found to be down. */
  readonly stats = { failedTries: 0, outages: 0 };

  /** `perSecond`: calls that may connect in a second once a bot is back. */
  constructor(perSecond: number, log: Logger) {
    this.#limits = {
      failuresMax: FAILURES_MAX,
      firstPauseMs: PAUSES.firstPauseMs,
      mostPauseMs: PAUSES.mostPauseMs,
      tryMs: TRY_MS,
      perSecond,
    };
    this.#log = log;
  }

  /** Calls that may connect in a second once a bot is back. */
  set perSecond(perSecond: number) {
    this.#limits.perSecond = perSecond;
  }

  /** Calls that wait until they may try. */
  get waiting(): number {
    let waiting = 0;
    for (const breaker of this.#breakers.values()) waiting += breaker.waiting;
    return waiting;
  }

  /** Bots that are down, and why. */
  get problems(): string[] {
    this.#forget();
    return [...this.#breakers].flatMap(([name, breaker]) => {
      const problem = breaker.problem(performance.now());
      return problem === undefined ? [] : [`${name}: ${problem.detail}, for ${problem.seconds} s`];
    });
  }

  /** True: it may try now. False: it waits for `admitted`. `isFirst`: a new call's first try. */
  ask(seeker: BotSeeker, isFirst: boolean): boolean {
    let breaker = this.#breakers.get(seeker.botName);
    if (breaker === undefined) {
      // Nothing is kept of a bot without trouble.
      if (isFirst) return true;
      breaker = this.#make(seeker.botName);
    }
    if (breaker.ask(seeker, isFirst)) return true;
    let mayTry = false;
    for (const next of breaker.due(performance.now())) {
      if (next === seeker) mayTry = true;
      else next.admitted();
    }
    this.#schedule();
    return mayTry;
  }

  /**
   * Its try failed. `isRefusal`: the bot's server has answered and does not want this call, which
   * says nothing of other calls.
   */
  failed(seeker: BotSeeker, detail: string, isRefusal: boolean): void {
    this.stats.failedTries += 1;
    if (isRefusal && this.#breakers.get(seeker.botName)?.isDown !== true) return;
    const breaker = this.#breakers.get(seeker.botName) ?? this.#make(seeker.botName);
    if (breaker.failed(seeker, detail, performance.now())) {
      this.stats.outages += 1;
      this.#log.error({ bot: seeker.botName, detail }, 'bot not reachable: one call at a time tries');
    }
    this.#schedule();
  }

  /** It is connected. */
  succeeded(seeker: BotSeeker): void {
    const breaker = this.#breakers.get(seeker.botName);
    if (breaker === undefined) return;
    if (breaker.succeeded(performance.now()))
      this.#log.info({ bot: seeker.botName, waiting: breaker.waiting }, 'bot reachable again');
    this.#schedule();
  }

  /** It does not try any more. */
  left(seeker: BotSeeker): void {
    const breaker = this.#breakers.get(seeker.botName);
    if (breaker === undefined) return;
    breaker.left(seeker, performance.now());
    this.#schedule();
  }

  /** Admits nobody any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#breakers.clear();
  }

  #make(name: string): Breaker<BotSeeker> {
    const breaker = new Breaker<BotSeeker>(this.#limits, Math.random);
    this.#breakers.set(name, breaker);
    return breaker;
  }

  #forget(): void {
    const nowMs = performance.now();
    for (const [name, breaker] of this.#breakers)
      if (breaker.isIdle(nowMs, FORGET_MS)) this.#breakers.delete(name);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#forget();
    const dueMs = Math.min(...[...this.#breakers.values()].map((breaker) => breaker.dueMs));
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#admit(), Math.max(0, Math.ceil(dueMs - performance.now())));
  }

  #admit(): void {
    const nowMs = performance.now();
    for (const breaker of this.#breakers.values()) for (const seeker of breaker.due(nowMs)) seeker.admitted();
    this.#schedule();
  }
}
