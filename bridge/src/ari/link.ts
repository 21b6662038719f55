import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from './access.ts';
import { ChannelMoves } from './channel-moves.ts';
import { claimVariable, ENDED, HolderWatch } from './claim.ts';
import type { AriClient } from './client.ts';
import {
  AriConnection,
  type AriConnectionHandlers,
  type AriConnectionOptions,
  type HeldRequests,
  type Takeovers,
} from './connection.ts';
import { formatFarewell, formatOffer, type HandoverStep, handoverVariable, ownApp } from './handover.ts';
import { HandoverPhase } from './handover-phase.ts';
import type { ChannelEvent } from './model.ts';
import { Standstill, StillOurs } from './standstill.ts';
import { takeApp, tooLate } from './taken-app.ts';

/** Notifications to the owner of the link. */
export interface AriLinkHandlers
  extends Omit<AriConnectionHandlers, 'onAsked' | 'onYielded' | 'onTakenOver' | 'onOffered'> {
  /**
   * Another process has taken the app without asking. `isElsewhere` tells whether a channel is in
   * our own app: its call goes on.
   */
  readonly onTakenOver: (isElsewhere: (channelId: string) => boolean) => void;
  /** A successor asks for the app: take no new orders. */
  readonly onHandingOver: () => void;
  /** Whether a channel of the shared app stays with this process. */
  readonly staysOurs: (channelId: string) => boolean;
  /** The successor has the shared app. This process keeps its calls, and gets no new ones. */
  readonly onHandedOver: () => void;
  /** The successor is gone: this process has the shared app again, and gets new calls. */
  readonly onResumed: (why: string) => void;
  /** Another process that stops offers its calls: whether this one takes them. */
  readonly mayTake: () => boolean;
}

/** Settings of the link: those of its connections. */
export type AriLinkOptions = Omit<AriConnectionOptions, 'standstill' | 'takeovers'>;

/** A successor that lives takes the calls that were left to it within this time. */
const LEAVE_MS = 5_000;
/** A successor that is told `ready` takes the app within this time, or it has died. */
const SUCCESSOR_MS = 5_000;
/** A request that is under way when another process takes the app is answered within this time. */
const SETTLE_MS = 1_000;

/**
 * The link to Asterisk's events: a connection for the shared app, and after a handover one for an
 * app of this process, to which its channels were moved. A moved channel stays in its mixing
 * bridge, so its caller hears nothing of it.
 */
export class AriLink {
  /** Times that another process took the app from us without asking, and that we got it back. */
  readonly takeovers: Takeovers = { lost: 0, regained: 0 };
  readonly #access: AriAccess;
  readonly #options: AriConnectionOptions;
  readonly #address: AriConnectionOptions['address'];
  readonly #standstill: Standstill;
  readonly #ari: AriClient;
  readonly #handlers: AriLinkHandlers;
  #shared: AriConnection;
  #own: AriConnection | undefined;
  #isStopped = false;
  readonly #phase = new HandoverPhase();
  readonly #moves: ChannelMoves;
  #opening = Promise.withResolvers<void>();
  #waiting: NodeJS.Timeout | undefined;
  #doubting: NodeJS.Timeout | undefined;
  /** Resolves when a successor has the app of our own. */
  readonly #taken = Promise.withResolvers<void>();

  constructor(access: AriAccess, options: AriLinkOptions, ari: AriClient, handlers: AriLinkHandlers) {
    this.#access = access;
    this.#standstill = new Standstill(options.heartbeatMs);
    this.#options = { ...options, address: undefined, standstill: this.#standstill };
    this.#address = options.address;
    this.#ari = ari;
    this.#handlers = handlers;
    this.#moves = new ChannelMoves({ ari, sharedApp: access.app, ownApp: this.#ownName });
    this.#shared = this.#connection(this.#options);
    const stillOurs = new StillOurs(this.#standstill, () => this.#areCallsOurs());
    ari.checkBefore(() => stillOurs.check());
  }

  #connection(options: AriConnectionOptions): AriConnection {
    return new AriConnection(this.#access, { ...options, takeovers: this.takeovers }, this.#holds(false), {
      ...this.#handlers,
      onConnected: async () => {
        this.#resume();
        await this.#handlers.onConnected();
      },
      // Without the shared app, our own one tells of troubles with Asterisk.
      onDown: (why) => {
        if (!this.#areCallsElsewhere) this.#handlers.onDown(why);
      },
      onTakenOver: () => void this.#takenOver(),
      onEvent: (event) => this.#sharedEvent(event),
      onAsked: (successor) => void this.#asked(successor),
      onYielded: () => void this.#yielded(),
      onOffered: () => {},
    });
  }

  /** Our calls are in our own app: the shared one is another process's. */
  get #areCallsElsewhere(): boolean {
    return this.#phase.current === 'over';
  }

  /** Requests of calls depend on the app that the calls are in, and on no other. */
  #holds(isOwn: boolean): HeldRequests {
    const isOfCalls = () => this.#areCallsElsewhere === isOwn;
    return {
      apps: this.#ari.apps,
      suspend: () => isOfCalls() && this.#ari.suspend(),
      resume: () => isOfCalls() && this.#ari.resume(),
      refuse: () => isOfCalls() && this.#ari.refuse(),
    };
  }

  start(): void {
    this.#standstill.start();
    this.#shared.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#waiting);
    this.#standstill.stop();
    await Promise.all([this.#shared.stop(), this.#own?.stop()]);
  }

  /**
   * Leaves our channels to other processes, and closes the connections. A successor is told, and
   * takes them: until then their events arrive, for at most 5 s. Afterwards no request of ours
   * changes anything in Asterisk.
   */
  async leave(): Promise<void> {
    await this.#own?.leave(ENDED);
    if (this.#areCallsElsewhere && this.#own !== undefined) {
      await this.#ari.sendUserEvent(formatFarewell(this.#options.instance), this.#access.app).catch(() => {});
      await Promise.race([this.#taken.promise, delay(LEAVE_MS, undefined, { ref: false })]);
    }
    await this.stop();
    this.#ari.refuse();
  }

  /** Asks another process to take our calls. It does so as each successor, or not at all. */
  async offer(instance: string): Promise<void> {
    await this.#ari.sendUserEvent(formatOffer(this.#options.instance), ownApp(this.#access.app, instance));
  }

  /**
   * Takes the app of another process that no longer renews its claim. Should it only have stood
   * still, it is told, and leaves its channels alone. Resolves to a function that closes the app.
   * Rejects if Asterisk does not answer within 3 s.
   */
  async takeAppOf(instance: string): Promise<() => Promise<void>> {
    return await takeApp({ ...this.#access, app: ownApp(this.#access.app, instance) }, this.#options);
  }

  /**
   * After a standstill: whether the app of our calls is still ours. If not, requests that change
   * something wait until the events tell the same, or the app is ours.
   */
  async #areCallsOurs(): Promise<boolean> {
    // Channels of a handover that is under way are the successor's if it has the shared app.
    const app = this.#areCallsElsewhere ? this.#ownName : this.#access.app;
    const claim = await this.#ari.globalVariable(claimVariable(app));
    const isOurs = !new HolderWatch(this.#options.instance).isOther(claim);
    if (isOurs) return true;
    this.#ari.suspend();
    this.#doubtLater();
    return false;
  }

  /** See {@link ChannelMoves.prune}. */
  prune(isKnown: (channelId: string) => boolean): void {
    this.#moves.prune(isKnown);
  }

  #doubtLater(): void {
    clearTimeout(this.#doubting);
    if (this.#isStopped) return;
    this.#doubting = setTimeout(() => void this.#doubt(), this.#options.heartbeatMs).unref();
  }

  /** Never rejects. */
  async #doubt(): Promise<void> {
    const isOurs = await this.#areCallsOurs().catch(() => undefined);
    if (isOurs) this.#ari.resume();
    if (isOurs === undefined) this.#doubtLater();
  }

  /** See {@link AriConnection.caughtUp}. */
  caughtUp(): () => Promise<void> {
    const marks = this.#connections.map((connection) => connection.caughtUp());
    return async () => {
      await Promise.all(marks.map((mark) => mark()));
    };
  }

  /** See {@link AriConnection.reconnect}. */
  reconnect(why: string): void {
    for (const connection of this.#connections) connection.reconnect(why);
  }

  /** The connections that events of our calls arrive on. */
  get #connections(): AriConnection[] {
    if (this.#own === undefined) return [this.#shared];
    return this.#areCallsElsewhere ? [this.#own] : [this.#shared, this.#own];
  }

  get #ownName(): string {
    return ownApp(this.#access.app, this.#options.instance);
  }

  async #asked(successor: string): Promise<void> {
    if (this.#phase.current === 'ours') return await this.#handOver(successor);
    if (successor !== this.#phase.successor) await this.#say('busy', successor).catch(() => {});
  }

  /** Rejects never: after a handover that fails new calls come here as before. */
  async #handOver(successor: string): Promise<void> {
    const round = this.#phase.begin(successor);
    this.#moves.begin();
    try {
      await this.#say('asked');
      await this.#openOwnApp();
      if (!this.#phase.isIn(round)) return;
      this.#handlers.onHandingOver();
      this.#ari.useApp(this.#ownName);
      await this.#ari.created();
      const channelIds = await this.#ari.applicationChannels(this.#access.app);
      if (!this.#phase.isIn(round)) return;
      await Promise.all(channelIds.filter(this.#handlers.staysOurs).map((id) => this.#moves.move(id, [])));
      if (!this.#phase.isIn(round)) return;
      this.#phase.to('ready');
      this.#shared.yield();
      this.#waiting = setTimeout(() => this.#giveUp('the successor did not come'), SUCCESSOR_MS);
      await this.#say('ready');
    } catch (error) {
      // Another process may have the app by now: then there is nothing to give up.
      if (this.#phase.isIn(round)) this.#giveUp((error as Error).message);
    }
  }

  /** There is no successor. Channels that were moved stay in our own app. */
  #giveUp(why: string): void {
    clearTimeout(this.#waiting);
    this.#shared.yield(false);
    // One that still waits may ask again. One that was told `ready` is gone.
    void this.#tell(this.#phase.current === 'ready' ? undefined : 'busy');
    this.#phase.to('ours');
    this.#ari.useApp(this.#access.app);
    this.#handlers.onResumed(why);
  }

  async #say(step: HandoverStep, successor = this.#phase.successor): Promise<void> {
    await this.#ari.setGlobalVariable(handoverVariable(this.#access.app, successor), step);
  }

  /** Tells the successor even while requests of calls are held. Undefined: removes the answer. */
  async #tell(step: HandoverStep | undefined): Promise<void> {
    await this.#shared.tell(handoverVariable(this.#access.app, this.#phase.successor), step);
  }

  /** Opens the app of our own. It stays open: a second handover moves further calls there. */
  async #openOwnApp(): Promise<void> {
    if (this.#own?.isReady) return;
    this.#opening = Promise.withResolvers();
    if (this.#own === undefined) {
      this.#own = this.#ownConnection();
      this.#own.start();
    }
    await Promise.race([this.#opening.promise, tooLate(this.#ownName)]);
  }

  #ownConnection(): AriConnection {
    const access = { ...this.#access, app: this.#ownName };
    const options = { ...this.#options, address: this.#address, lastClaim: ENDED };
    // While the shared app is ours too, its connection tells of troubles with Asterisk.
    const isAlone = () => this.#areCallsElsewhere;
    return new AriConnection(access, options, this.#holds(true), {
      onConnected: async () => {
        if (isAlone()) await this.#handlers.onConnected();
      },
      onReady: () => {
        this.#opening.resolve();
        if (isAlone()) this.#handlers.onReady();
      },
      onDown: (why) => {
        if (isAlone()) this.#handlers.onDown(why);
      },
      onTakenOver: () => this.#handlers.onTakenOver(() => false),
      onAsked: () => {},
      onYielded: () => {
        this.#ari.refuse();
        this.#taken.resolve();
      },
      onOffered: () => {
        if (isAlone() && this.#handlers.mayTake()) this.#shared.take();
      },
      onLeft: () => {},
      onAsteriskStopping: this.#handlers.onAsteriskStopping,
      onEvent: (event) => this.#ownEvent(event),
      onUnreadable: this.#handlers.onUnreadable,
    });
  }

  /**
   * The shared app was taken without asking, or by a successor that was told nothing yet. Calls in
   * our own app go on. Never rejects.
   */
  async #takenOver(): Promise<void> {
    if (this.#phase.isElsewhere) return;
    // Those that were not sent have failed by now; one that was sent decides whose its channel is.
    if (this.#moves.isBusy)
      await Promise.race([this.#moves.settled(), delay(SETTLE_MS, undefined, { ref: false })]);
    if (this.#isStopped || this.#phase.isElsewhere) return;
    clearTimeout(this.#waiting);
    this.#shared.yield(false);
    const isOver = this.#moves.count > 0;
    this.#phase.to(isOver ? 'over' : 'lost');
    // A successor that was told `ready` waits for it.
    if (this.#phase.successor !== '') void this.#tell('done');
    this.#ari.useApp(isOver ? this.#ownName : this.#access.app);
    this.#handlers.onTakenOver((id) => this.#moves.has(id));
    if (!isOver) return;
    this.#ari.resume();
    this.#handlers.onHandedOver();
    this.#handlers.onReady();
  }

  async #yielded(): Promise<void> {
    clearTimeout(this.#waiting);
    this.#phase.to('over');
    await this.#moves.settled();
    await this.#say('done').catch(() => {});
    this.#handlers.onHandedOver();
    this.#standBy();
  }

  /** Waits for the end of the successor, to take new calls again. */
  #standBy(): void {
    if (this.#isStopped) return;
    this.#shared = this.#connection({ ...this.#options, waits: true });
    this.#shared.start();
  }

  #resume(): void {
    if (!this.#phase.isElsewhere) return;
    this.#phase.to('ours');
    this.#moves.begin();
    this.#ari.useApp(this.#access.app);
    this.#ari.resume();
    this.#handlers.onResumed('the new process is gone');
  }

  #sharedEvent(event: ChannelEvent): void {
    const { current } = this.#phase;
    if (current === 'ours' || current === 'lost' || event.type === 'Dial')
      return this.#handlers.onEvent(event);
    const { id } = event.channel;
    if (this.#moves.isEchoFromShared(event.type, id)) return;
    this.#handlers.onEvent(event);
    if (event.type === 'StasisStart' && this.#handlers.staysOurs(id)) void this.#moves.move(id, event.args);
  }

  #ownEvent(event: ChannelEvent): void {
    const { id } = event.type === 'Dial' ? event.peer : event.channel;
    if (!this.#moves.isEchoFromOwn(event.type, id)) this.#handlers.onEvent(event);
  }
}
