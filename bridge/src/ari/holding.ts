import { setTimeout as delay } from 'node:timers/promises';
import { claimVariable, formatClaim, HolderWatch, parseClaim } from './claim.ts';
import type { AriClient } from './client.ts';
import { HandoverRequest } from './handover.ts';
import type { AriError } from './requests.ts';

/** A process that took the app writes its claim within this time. */
const CLAIM_WAIT_MS = 250;
/** Two that find at the same time that the holder is gone both write their claims within this. */
const CONTEST_MS = 100;
/** Times that the app is taken back within {@link RETAKES_MS} from a client without a claim. */
const RETAKES_MAX = 3;
const RETAKES_MS = 600_000;
/** Pauses before the app is taken back again from a client without a claim. */
const UNCLAIMED_MIN_MS = 5_000;
const UNCLAIMED_MAX_MS = 60_000;

/** What is needed to know who holds an app. */
export interface HoldingContext {
  /** A client of its own: readings must not wait behind requests of calls. */
  readonly ari: AriClient;
  readonly app: string;
  /** Name of this process. */
  readonly instance: string;
  readonly heartbeatMs: number;
  /** Whether another process is known to be dead. It is not asked for the app then. */
  readonly isDead: ((instance: string) => Promise<boolean>) | undefined;
  /** Where other processes reach this one, to be told in the claim. */
  readonly address: (() => string | undefined) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Who holds the Stasis app, and whether this process may take it. At its first start a process
 * asks the holder. After a loss it takes the app back only if no other process holds it.
 */
export class Holding {
  readonly #context: HoldingContext;
  readonly #watch: HolderWatch;
  readonly #variable: string;
  readonly #handover: HandoverRequest;
  /** The holder before us has moved its calls out of the app. */
  #isHandedOver = false;
  #hasLetGo: boolean;
  #renewals = 0;
  #writing = Promise.resolve();
  /** The holder has asked this process to take the app. */
  #isOffered = false;
  /** The app was given up to a client without a claim. */
  #isUnclaimed = false;
  /** Times when a client without a claim took the app, monotonic ms. */
  #losses: number[] = [];
  #unclaimedMs = UNCLAIMED_MIN_MS;

  /** `waits`: another process has the app, and is waited for. */
  constructor(context: HoldingContext, waits: boolean) {
    const { ari, app, instance, signal } = context;
    this.#context = context;
    this.#watch = new HolderWatch(instance);
    this.#variable = claimVariable(app);
    this.#handover = new HandoverRequest(
      ari,
      app,
      instance,
      signal,
      async (holder) => (await context.isDead?.(holder)) === true,
    );
    this.#hasLetGo = waits;
  }

  /** Asks another process that has the app to make room. Rejects if Asterisk does not answer. */
  async ask(): Promise<void> {
    const claim = await this.#context.ari.globalVariable(this.#variable).catch((error: AriError) => {
      // The handshake is refused too, and says why in better words.
      if (error.status === 401 || error.status === 403) return '';
      throw error;
    });
    const holder = this.#watch.isOther(claim) ? parseClaim(claim)?.instance : undefined;
    this.#isHandedOver =
      holder !== undefined && !(await this.#isDead(claim)) && (await this.#handover.ask(holder));
  }

  /** The events socket is open: the app is ours. */
  taken(): void {
    this.#isOffered = false;
    this.#hasLetGo = false;
  }

  /** The holder makes room for this process. */
  offered(): void {
    this.#isOffered = true;
  }

  /** Waits until no call of a holder that made room is left in the app. */
  async settled(): Promise<void> {
    if (this.#isHandedOver) await this.#handover.done();
    this.#isHandedOver = false;
  }

  /**
   * Writes our claim. Never rejects. The next heartbeat writes it again. `isProof`: the heartbeat
   * was sent and came back soon, without a standstill. Else another process may have the app since:
   * its claim must not be written over, since it is all that tells.
   */
  async claim(isProof: boolean): Promise<void> {
    if (!isProof && !(await this.#isOurs().catch(() => false))) return;
    this.#writing = this.#writeClaim().catch(() => {});
    await this.#writing;
  }

  async #writeClaim(): Promise<void> {
    const { ari, instance, heartbeatMs: everyMs } = this.#context;
    this.#renewals += 1;
    const claim = { instance, beat: this.#renewals, everyMs, address: this.#context.address?.() };
    await ari.setGlobalVariable(this.#variable, formatClaim(claim));
  }

  async #isOurs(): Promise<boolean> {
    return !this.#watch.isOther(await this.#context.ari.globalVariable(this.#variable));
  }

  /** Writes what is left of our claim. Never rejects. */
  async clear(text: string): Promise<void> {
    // Two requests on two connections may arrive in the other order.
    await this.#writing;
    await this.#context.ari.setGlobalVariable(this.#variable, text).catch(() => {});
  }

  /**
   * Whether the app may be taken: not while another process holds it. Waits one heartbeat interval
   * if so. `wasReplaced`: ARI reported that somebody took it. `onLetGo` is called when the app is
   * given up. Rejects if Asterisk does not answer.
   */
  async isFree(wasReplaced: boolean, onLetGo: () => void): Promise<boolean> {
    if (this.#hasLetGo) return await this.#waitForHolder();
    if (wasReplaced) await this.#pause(CLAIM_WAIT_MS * (1 + Math.random()));
    const claim = await this.#context.ari.globalVariable(this.#variable);
    const isOther = this.#watch.isOther(claim);
    if (!isOther && (!wasReplaced || this.#mayTakeBack())) return true;
    this.#isUnclaimed = !isOther;
    this.#hasLetGo = true;
    this.#watch.failed();
    onLetGo();
    return false;
  }

  async #isYielded(): Promise<boolean> {
    await this.ask();
    return this.#isHandedOver;
  }

  async #isDead(claim: string): Promise<boolean> {
    const holder = parseClaim(claim)?.instance;
    return holder !== undefined && (await this.#context.isDead?.(holder)) === true;
  }

  #mayTakeBack(): boolean {
    const nowMs = performance.now();
    this.#losses = [...this.#losses.filter((lostMs) => nowMs - lostMs < RETAKES_MS), nowMs];
    if (this.#losses.length === 1) this.#unclaimedMs = UNCLAIMED_MIN_MS;
    return this.#losses.length <= RETAKES_MAX;
  }

  async #waitForHolder(): Promise<boolean> {
    if (this.#isUnclaimed) {
      await this.#pause(this.#unclaimedMs);
      this.#unclaimedMs = Math.min(UNCLAIMED_MAX_MS, this.#unclaimedMs * 2);
      return true;
    }
    await this.#pause(this.#context.heartbeatMs);
    try {
      if (this.#isOffered && (await this.#isYielded())) return true;
      const claim = await this.#context.ari.globalVariable(this.#variable);
      return (this.#watch.isGone(claim) || (await this.#isDead(claim))) && (await this.#isFirst());
    } catch (error) {
      this.#watch.failed();
      throw error;
    }
  }

  /**
   * The holder is gone. Of several that waited for it one takes the app: the last to write its
   * claim. The others would take it from that one, and adopt its calls once more.
   */
  async #isFirst(): Promise<boolean> {
    await this.#writeClaim();
    await this.#pause(CONTEST_MS);
    return await this.#isOurs();
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#context.signal }).catch(() => {});
  }
}
