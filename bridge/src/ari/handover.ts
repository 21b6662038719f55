import { setTimeout as delay } from 'node:timers/promises';
import { AriError } from './requests.ts';

/**
 * The handover of the Stasis app from one process of the bridge, the holder, to its successor. ARI
 * carries it: the successor asks by a user event through the app, the holder answers in a global
 * variable. `busy`: another successor is being served, or the handover failed; ask again. `asked`:
 * the holder has heard it. `ready`: its calls are in an app of its own, and the successor may
 * connect. `done`: no call of the holder is left in the shared app.
 */
export type HandoverStep = 'busy' | 'asked' | 'ready' | 'done';

const STEPS: readonly HandoverStep[] = ['busy', 'asked', 'ready', 'done'];
const REQUEST = /^handover-([\w-]{1,64})$/;
const OFFER = /^take-([\w-]{1,64})$/;
const FAREWELL = /^left-([\w-]{1,64})$/;

/** Name of the global variable in which an app's holder answers a successor. */
export function handoverVariable(app: string, successor: string): string {
  return `PIPECAT_BRIDGE_HANDOVER_${app}_${successor}`;
}

/** Name of the user event by which a successor asks. */
export function formatRequest(successor: string): string {
  return `handover-${successor}`;
}

/** The successor that a user event names. Undefined: it is another event. */
export function parseRequest(eventName: string): string | undefined {
  return REQUEST.exec(eventName)?.[1];
}

/** Name of the user event by which a holder that stops asks another process to be its successor. */
export function formatOffer(holder: string): string {
  return `take-${holder}`;
}

/** Name of the user event by which a process tells its successor that its calls are free. */
export function formatFarewell(instance: string): string {
  return `left-${instance}`;
}

/** What a user event says about another process. Undefined: it is another event. */
export function parseNotice(eventName: string): { type: 'offer' | 'farewell'; instance: string } | undefined {
  const [, holder] = OFFER.exec(eventName) ?? [];
  if (holder !== undefined) return { type: 'offer', instance: holder };
  const [, instance] = FAREWELL.exec(eventName) ?? [];
  return instance === undefined ? undefined : { type: 'farewell', instance };
}

/** The answer that the variable holds. Undefined: none. */
export function parseStep(text: string): HandoverStep | undefined {
  return STEPS.find((step) => text === step);
}

/** The app that a process moves its calls to. */
export function ownApp(app: string, instance: string): string {
  return `${app}-${instance}`;
}

/** The process whose own app this is. Undefined: it is the shared app, or a stranger's. */
export function ownerOf(ownAppName: string, app: string): string | undefined {
  const rest = ownAppName.startsWith(`${app}-`) ? ownAppName.slice(app.length + 1) : '';
  return /^[0-9a-f]{8}$/.test(rest) ? rest : undefined;
}

const POLL_MS = 25;
/** A holder that lives answers the request within this time. A new process waits it out. */
const ASKED_MS = 1_000;
/** Then it has moved its calls within this time: more than one request that is not answered. */
const READY_MS = 20_000;
/** A call that came in the last moment is moved within this time, or its holder is dead. */
const DONE_MS = 20_000;
/** A holder that dies is noticed after this time, if that can be known. */
const DEAD_LOOK_MS = 250;
/** A successor that finds another one before it asks again after this time, this often. */
const BUSY_MS = 500;
const BUSY_TRIES = 60;

/** What a successor needs of ARI. */
export interface HandoverRequests {
  sendUserEvent(name: string): Promise<void>;
  globalVariable(variable: string): Promise<string>;
  removeGlobalVariable(variable: string): Promise<void>;
}

/** The successor's side: asks the holder, and waits for its answers. */
export class HandoverRequest {
  readonly #ari: HandoverRequests;
  readonly #variable: string;
  readonly #successor: string;
  readonly #signal: AbortSignal;
  readonly #isDead: (holder: string) => Promise<boolean>;
  #holder = '';

  /** `isDead`: whether a holder is known to be dead. It is not waited for then. */
  constructor(
    ari: HandoverRequests,
    app: string,
    successor: string,
    signal: AbortSignal,
    isDead: (holder: string) => Promise<boolean>,
  ) {
    this.#ari = ari;
    this.#variable = handoverVariable(app, successor);
    this.#successor = successor;
    this.#signal = signal;
    this.#isDead = isDead;
  }

  /**
   * Asks the holder. Resolves to true when it is ready to be replaced, to false if it does not
   * answer: it is gone, hangs, or is of a version that knows no handover. One that gave up is asked
   * again.
   */
  async ask(holder: string): Promise<boolean> {
    this.#holder = holder;
    // From the first answer on.
    let endMs = Number.POSITIVE_INFINITY;
    for (let attempt = 1; attempt <= BUSY_TRIES && !this.#signal.aborted; attempt++) {
      try {
        await this.#ari.sendUserEvent(formatRequest(this.#successor));
      } catch (error) {
        // Nobody has had the app since Asterisk started.
        if (error instanceof AriError && error.status === 404) return false;
        throw error;
      }
      if ((await this.#reaches('busy', ASKED_MS)) !== 'reached') return false;
      const answer = await this.#reaches('asked', BUSY_MS);
      if (answer === 'dead') return false;
      if (answer !== 'reached') continue;
      endMs = Math.min(endMs, performance.now() + READY_MS);
      const found = await this.#reaches('ready', endMs - performance.now(), 'busy');
      if (found !== 'back') return found === 'reached';
    }
    return false;
  }

  /** Waits until no call of the holder is left in the shared app, at most 20 s. */
  async done(): Promise<void> {
    await this.#reaches('done', DONE_MS);
    // Each successor has a variable of its own: Asterisk must not keep one of each for ever.
    await this.#ari.removeGlobalVariable(this.#variable).catch(() => {});
  }

  /** `back`: the holder has gone back to the step `before`. */
  async #reaches(
    wanted: HandoverStep,
    limitMs: number,
    before?: HandoverStep,
  ): Promise<'reached' | 'back' | 'dead' | 'late'> {
    const endMs = performance.now() + limitMs;
    let lookMs = performance.now() + DEAD_LOOK_MS;
    while (!this.#signal.aborted) {
      const step = parseStep(await this.#ari.globalVariable(this.#variable));
      if (step !== undefined && STEPS.indexOf(step) >= STEPS.indexOf(wanted)) return 'reached';
      if (step !== undefined && step === before) return 'back';
      const nowMs = performance.now();
      if (nowMs > endMs) return 'late';
      if (nowMs > lookMs) {
        if (await this.#isDead(this.#holder)) return 'dead';
        lookMs = performance.now() + DEAD_LOOK_MS;
      }
      await delay(POLL_MS, undefined, { signal: this.#signal }).catch(() => {});
    }
    return 'late';
  }
}
