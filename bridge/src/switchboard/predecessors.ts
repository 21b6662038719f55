import { claimVariable, ENDED, HolderWatch, parseClaim } from '../ari/claim.ts';
import type { AriClient } from '../ari/client.ts';
import { ownApp, ownerOf } from '../ari/handover.ts';
import { parseOwnId } from '../call/asterisk-ids.ts';
import type { Holdings } from './holdings.ts';

/** What is needed to look after predecessors. */
export interface PredecessorsContext {
  /** Id of this process. */
  readonly instance: string;
  /** The app that predecessors handed over. */
  readonly app: string;
  readonly ari: Pick<
    AriClient,
    'applications' | 'globalVariable' | 'removeGlobalVariable' | 'moveChannel' | 'unsubscribe'
  >;
  /** Interval at which a process renews its claim, ms. */
  readonly heartbeatMs: number;
  /** Takes the app of a process that is gone. Resolves to a function that closes the app. */
  readonly takeAppOf: (instance: string) => Promise<() => Promise<void>>;
  /** A process is gone: reads the records of its calls, before its channels come. */
  readonly recover: () => Promise<void>;
  /** Whether a process is known to be dead: its claim need not be watched. */
  readonly isDead: (instance: string) => Promise<boolean>;
  /** Which processes live, and where each is reached by HTTP. Called after each look. */
  readonly onSeen?: (addresses: ReadonlyMap<string, string>) => Promise<void>;
}

interface Predecessor {
  readonly watch: HolderWatch;
  readonly address: string;
  /** When the claim was last read, by `performance.now()`. */
  readMs: number;
  channelIds: ReadonlySet<string>;
}

/**
 * Processes that handed the shared app over to us, and still have calls in apps of their own. Their
 * channels, second legs and mixing bridges are not ours to touch. When one is gone, its calls are.
 */
export class Predecessors {
  readonly #context: PredecessorsContext;
  readonly #all = new Map<string, Predecessor>();
  /** Processes that said that their calls are ours. */
  readonly #left = new Set<string>();
  #isBack = false;
  #looking: Promise<boolean> | undefined;

  constructor(context: PredecessorsContext) {
    this.#context = context;
  }

  /** Processes that were alive at the last look. */
  get instances(): string[] {
    return [...this.#all.keys()];
  }

  /** A process has left its calls to us: the next {@link look} takes them. */
  left(instance: string): void {
    this.#left.add(instance);
  }

  /** The process that has a channel of the shared app, though it entered it here. */
  ownerOf(channelId: string): string | undefined {
    const { instance = '' } = parseOwnId(channelId) ?? {};
    if (this.#all.has(instance)) return instance;
    return [...this.#all].find(([, { channelIds }]) => channelIds.has(channelId))?.[0];
  }

  /** Gives a channel that entered the shared app back to its process. */
  async giveBack(channelId: string, instance: string, args: readonly string[]): Promise<void> {
    await this.#context.ari.moveChannel(channelId, ownApp(this.#context.app, instance), args);
  }

  /**
   * Reads who lives. To be called at each connection, and then once each heartbeat interval: a
   * process whose claim does not change any more, or that cleared it, is gone. Its channels are
   * moved to the shared app. Resolves to whether one is gone. One look runs at a time.
   */
  look(): Promise<boolean> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        // While Asterisk does not answer, nobody can renew a claim either.
        for (const { watch } of this.#all.values()) watch.failed();
        throw error;
      })
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async #look(): Promise<boolean> {
    const { app, ari, instance: own, isDead } = this.#context;
    const seen = new Set<string>();
    let isOneGone = false;
    for (const { name, channelIds } of await ari.applications()) {
      const instance = ownerOf(name, app);
      if (instance === undefined || instance === own) continue;
      // Asterisk keeps the app of a process that has ended for as long as it has a channel.
      const claim = await ari.globalVariable(claimVariable(name));
      // An app that somebody else gave such a name.
      if (claim === '') continue;
      const known = this.#all.get(instance);
      if (this.#left.has(instance) || this.#isGone(known, claim) || (await isDead(instance))) {
        if (channelIds.length === 0) await this.#forgetClaim(instance);
        const isMoved = await this.#takeChannels(instance, channelIds);
        this.#all.delete(instance);
        isOneGone ||= known !== undefined || isMoved;
        continue;
      }
      seen.add(instance);
      if (known !== undefined) known.channelIds = new Set(channelIds);
      else this.#meet(instance, claim, channelIds);
    }
    for (const instance of this.#all.keys()) {
      if (seen.has(instance)) continue;
      await this.#forgetClaim(instance);
      this.#all.delete(instance);
      isOneGone = true;
    }
    await this.#context.onSeen?.(new Map([...this.#all].map(([id, { address }]) => [id, address])));
    return isOneGone;
  }

  /**
   * Removes the claim of a process that has ended, and has no channel left. That of a process that
   * may only stand still has to stay: by it the process knows that its calls are ours.
   */
  async #forgetClaim(instance: string): Promise<void> {
    const { app, ari } = this.#context;
    const variable = claimVariable(ownApp(app, instance));
    if ((await ari.globalVariable(variable)) === ENDED) await ari.removeGlobalVariable(variable);
  }

  /** A claim is judged by readings that are one renewal apart, however often it is read. */
  #isGone(known: Predecessor | undefined, claim: string): boolean {
    if (claim === ENDED) return true;
    const nowMs = performance.now();
    if (known === undefined || nowMs - known.readMs < this.#context.heartbeatMs * 0.9) return false;
    known.readMs = nowMs;
    return known.watch.isGone(claim);
  }

  #meet(instance: string, claim: string, channelIds: readonly string[]): void {
    const watch = new HolderWatch(this.#context.instance);
    watch.isGone(claim);
    const { address = '' } = parseClaim(claim) ?? {};
    this.#all.set(instance, { watch, address, readMs: performance.now(), channelIds: new Set(channelIds) });
  }

  /** Moves a dead process's channels to the shared app. Resolves to whether it had any. */
  async #takeChannels(instance: string, channelIds: readonly string[]): Promise<boolean> {
    if (channelIds.length === 0) return false;
    const { app, ari, takeAppOf, recover } = this.#context;
    // First: its callers hear nothing of ours between the next step and their adoption.
    await recover();
    const close = await takeAppOf(instance);
    try {
      // From here on its channels are ours when they enter the shared app.
      this.#all.delete(instance);
      const moved = await Promise.all(
        channelIds.map(async (id) => {
          const isMoved = await ari.moveChannel(id, app, []);
          // Subscriptions outlast the stay in an app: the next look would find the channel there.
          await ari.unsubscribe(id, ownApp(app, instance)).catch(() => {});
          return isMoved;
        }),
      );
      return moved.includes(true);
    } finally {
      await close();
    }
  }

  /** The shared app is a successor's: it cleans up after dead processes, and this one does not. */
  stepBack(isBack: boolean): void {
    this.#isBack = isBack;
  }

  /**
   * What Asterisk holds, without what belongs to other processes. `isKnown`: a call of ours has it.
   */
  without(holdings: Holdings, isKnown: (id: string) => boolean): Holdings {
    if (this.#all.size === 0 && !this.#isBack) return holdings;
    const isOurs = (id: string) => isKnown(id) || !this.#isOthers(id);
    return {
      ...holdings,
      channels: holdings.channels.filter(({ id }) => isOurs(id)),
      bridges: holdings.bridges.filter(({ id }) => isOurs(id)),
      unreadable: holdings.unreadable.filter((id) => isKnown(id) || !(this.#isBack || this.#isOthers(id))),
      appChannelIds: new Set([...holdings.appChannelIds].filter(isOurs)),
    };
  }

  #isOthers(id: string): boolean {
    const made = parseOwnId(id);
    const isElsewhere = this.#isBack && made !== undefined && made.instance !== this.#context.instance;
    return isElsewhere || this.ownerOf(id) !== undefined;
  }
}
