import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from '../ari/access.ts';
import type { AriClient } from '../ari/client.ts';
import { AriLink } from '../ari/link.ts';
import { AriError } from '../ari/requests.ts';
import type { Config } from '../config/environment.ts';
import type { Logger } from '../log.ts';
import type { RecordStore } from '../records/store.ts';
import type { StatusCallbacks } from '../reports/callbacks.ts';
import type { Background } from './background.ts';
import type { Gate } from './gate.ts';
import { Predecessors } from './predecessors.ts';
import { Sweep } from './sweep.ts';
import type { Switchboard } from './switchboard.ts';

/**
 * What else goes to a successor: the port of the HTTP interface (`http/server.ts`).
 */
export interface ProcessShares {
  /** Where other processes of the bridge reach this one. It is a part of the claim. */
  readonly address: string;
  /** These processes have handed over to us, and live. Where each is reached, by its id. */
  predecessors(addresses: ReadonlyMap<string, string>): Promise<void>;
  /** The app is ours. */
  take(): void;
  /** A successor asks for the app. */
  handingOver(): void;
  /** A successor has the app. */
  handedOver(): void;
  /** The successor is gone: the app is ours again. */
  resume(): void;
}

/** What the link to Asterisk works with. */
export interface AsteriskLinkContext {
  /** Id of this process. */
  readonly instance: string;
  readonly config: Config;
  readonly access: AriAccess;
  readonly ari: AriClient;
  readonly records: Pick<RecordStore, 'ready' | 'recover' | 'isDead'>;
  readonly callbacks: Pick<StatusCallbacks, 'resume'>;
  readonly gate: Pick<Gate, 'take' | 'letGo'>;
  /** Asked from {@link AsteriskLink.start} on: it is made after the link. */
  readonly switchboard: () => Switchboard;
  /** The same. */
  readonly processes: () => ProcessShares | undefined;
  readonly background: Background;
  readonly log: Logger;
}

/** Longest time for last words when Asterisk stops: it waits no longer (`asterisk/stop-calls`). */
const ASTERISK_STOPS_MS = 2_000;
/** A process that is offered our calls asks for them within this time and two heartbeats. */
const OFFER_MS = 1_000;
const OFFER_LOOK_MS = 50;

/**
 * The link to Asterisk: whether it can be used, and what each of its changes means for the calls,
 * the gate and the records. Also says when the bridge compares its calls with Asterisk.
 */
export class AsteriskLink {
  readonly #context: AsteriskLinkContext;
  readonly #events: AriLink;
  readonly #sweep: Sweep;
  /** Processes that handed over to this one. */
  readonly predecessors: Predecessors;
  #problem: { readonly why: string } | undefined = { why: 'ARI has not been reached yet' };
  #isStopping = false;
  #isToldToStop = false;
  /** The process that had the app until now is gone: its records are not read yet. */
  #mayInherit = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(context: AsteriskLinkContext) {
    this.#context = context;
    const { instance, config, access, ari, background } = context;
    this.#sweep = new Sweep(config.RECONCILE_MS, () => background.run(this.#compare(), 'reconcile'));
    this.predecessors = new Predecessors({
      instance,
      app: config.ARI_APP,
      ari,
      heartbeatMs: config.ARI_HEARTBEAT_MS,
      takeAppOf: (other) => this.#events.takeAppOf(other),
      recover: () => this.#recover(),
      isDead: (other) => context.records.isDead(other),
      onSeen: async (addresses) => await this.#processes?.predecessors(addresses),
    });
    const connection = {
      instance,
      heartbeatMs: config.ARI_HEARTBEAT_MS,
      isDead: (other: string) => context.records.isDead(other),
      address: () => this.#processes?.address,
    };
    this.#events = new AriLink(access, connection, ari, {
      onConnected: () => this.#connected(),
      onReady: () => this.#ready(),
      onDown: (why) => this.#down(why),
      onTakenOver: (isElsewhere) => this.#takenOver(isElsewhere),
      onAsteriskStopping: () => this.#asteriskStopping(),
      onEvent: (event) => this.#switchboard.dispatch(event),
      onUnreadable: (error) => this.#unreadable(error),
      onHandingOver: () => this.#handingOver(),
      staysOurs: (channelId) => this.#switchboard.handingOver.staysOurs(channelId),
      onHandedOver: () => this.#handedOver(),
      onResumed: (why) => this.#resumed(why),
      onLeft: (other) => background.run(this.#left(other), 'take the calls of a process that left'),
      mayTake: () => !this.#isToldToStop,
    });
  }

  get #switchboard(): Switchboard {
    return this.#context.switchboard();
  }

  get #processes(): ProcessShares | undefined {
    return this.#context.processes();
  }

  /** Why ARI cannot be used now. Undefined if it can. */
  get problem(): string | undefined {
    return this.#problem?.why;
  }

  /** See {@link AriLink.takeovers}. */
  get takeovers(): AriLink['takeovers'] {
    return this.#events.takeovers;
  }

  /** See {@link AriLink.caughtUp}. */
  caughtUp(): () => Promise<void> {
    return this.#events.caughtUp();
  }

  /** Starts connecting to ARI, and comparing at an interval. */
  start(): void {
    const { records, background, config } = this.#context;
    // The previous process's records must be read before ARI reports its calls.
    background.run(
      records.ready().then(() => !this.#isStopping && this.#events.start()),
      'connect to ARI',
    );
    this.#sweep.start();
    this.#watch = setInterval(
      () => background.run(this.#lookAfterPredecessors(), 'look after predecessors'),
      config.ARI_HEARTBEAT_MS,
    );
  }

  /** Another interval between comparisons. */
  compareEvery(everyMs: number): void {
    this.#sweep.every(everyMs);
  }

  /** The bridge stops: compares no more. Events still arrive, until {@link close}. */
  stopComparing(): void {
    this.#isStopping = true;
    this.#sweep.stop();
    clearInterval(this.#watch);
  }

  /** Whether the process is told to stop: then it takes no calls of others that stop. */
  toldToStop(): void {
    this.#isToldToStop = true;
  }

  /**
   * Offers our calls to a process that handed over to this one and lives. Resolves to whether a
   * successor has asked for them.
   */
  async offer(): Promise<boolean> {
    if (this.#problem !== undefined) return false;
    // One after the other: one that hangs does not answer.
    for (const instance of this.predecessors.instances) if (await this.#offerTo(instance)) return true;
    return false;
  }

  async #offerTo(instance: string): Promise<boolean> {
    const { handingOver } = this.#switchboard;
    await this.#events.offer(instance).catch(() => {});
    // A process that waits for the app looks once each heartbeat.
    const endMs = performance.now() + 2 * this.#context.config.ARI_HEARTBEAT_MS + OFFER_MS;
    while (performance.now() < endMs && !handingOver.isUnderWay) await delay(OFFER_LOOK_MS);
    return handingOver.isUnderWay;
  }

  /** Leaves our calls to other processes. See {@link AriLink.leave}. */
  async leave(): Promise<void> {
    await this.#events.leave();
    this.#switchboard.letGo(() => false);
  }

  /** Closes the connections to Asterisk's events. */
  async close(): Promise<void> {
    await this.#events.stop();
  }

  async #connected(): Promise<void> {
    // Before the comparison an order could place a call that is already live.
    this.#problem = { why: 'what Asterisk holds is not known yet' };
    if (this.#mayInherit) await this.#recover();
    this.#mayInherit = false;
    await this.predecessors.look();
    await this.#switchboard.reconcile();
  }

  #ready(): void {
    this.#problem = undefined;
    // After a handover the gate is the successor's.
    if (!this.#switchboard.handingOver.isUnderWay) {
      this.#context.gate.take();
      this.#processes?.take();
    }
    this.#context.log.info('ARI connected');
  }

  #down(why: string): void {
    this.#problem = { why };
    this.#context.gate.letGo();
    this.#context.log.error({ why }, 'ARI not connected, trying again');
  }

  #handingOver(): void {
    this.#switchboard.handingOver.begin();
    this.#processes?.handingOver();
  }

  /** A successor has the app. Our calls go on; if it ends, new calls come here again. */
  #handedOver(): void {
    this.#switchboard.handingOver.complete();
    this.#processes?.handedOver();
    this.#context.log.info({ calls: this.#switchboard.running.all.size }, 'handed over to a new process');
  }

  #resumed(why: string): void {
    this.#context.log.warn({ why }, 'new calls come here again');
    this.#mayInherit = true;
    this.#switchboard.handingOver.end();
    this.#processes?.resume();
  }

  /** A predecessor may die: its calls are ours then. */
  async #lookAfterPredecessors(): Promise<void> {
    if (this.#problem !== undefined || this.#isStopping) return;
    if (this.#switchboard.handingOver.isUnderWay) return;
    if (await this.predecessors.look()) await this.#switchboard.reconcile();
  }

  async #left(instance: string): Promise<void> {
    this.predecessors.left(instance);
    // One that runs may have passed this process.
    await this.predecessors.look();
    await this.#lookAfterPredecessors();
    await this.#switchboard.reconcile();
  }

  /** A predecessor has died: its live calls and its callbacks are ours. Never rejects. */
  async #recover(): Promise<void> {
    const { records, callbacks, background, log } = this.#context;
    await records.recover().catch((error: Error) => {
      log.error({ error: error.message }, 'records of a process that ended cannot be read');
    });
    background.run(callbacks.resume(), 'resume callbacks');
  }

  /** Another process took our Stasis app, and serves our calls. */
  #takenOver(isElsewhere: (channelId: string) => boolean): void {
    this.#context.log.error(
      { app: this.#context.config.ARI_APP, calls: this.#switchboard.running.all.size },
      'the Stasis app was taken over by another process',
    );
    this.#switchboard.letGo(isElsewhere);
    this.#switchboard.handingOver.complete();
    this.#processes?.handedOver();
  }

  /** Ends all calls: Asterisk would cut them, and nobody would know why. The bridge goes on. */
  #asteriskStopping(): void {
    this.#context.log.warn({ calls: this.#switchboard.running.all.size }, 'Asterisk stops, its calls end');
    this.#switchboard.running.endAll();
    setTimeout(() => this.#switchboard.running.cutAll(), ASTERISK_STOPS_MS).unref();
  }

  /** An unreadable event counts as lost: a comparison finds what it reported. */
  #unreadable(error: Error): void {
    this.#context.log.warn({ error: error.message }, 'ARI event could not be read');
    this.#sweep.soon();
  }

  async #compare(): Promise<void> {
    if (this.#problem !== undefined || this.#isStopping) return;
    await this.#switchboard.reconcile().catch((error: unknown) => {
      // The WebSocket may still be open, but without the Stasis app no event arrives.
      if (error instanceof AriError && error.status === 404) this.#events.reconnect(error.message);
      throw error;
    });
    this.#events.prune((channelId) => this.#switchboard.isKnown(channelId));
  }
}
