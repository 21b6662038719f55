import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from './access.ts';
import { claimVariable, ENDED, HolderWatch } from './claim.ts';
import type { AriClient } from './client.ts';
import { AriConnection, type AriConnectionHandlers, type AriConnectionOptions } from './connection.ts';
import { formatFarewell, formatOffer, type HandoverStep, handoverVariable, ownApp } from './handover.ts';
import type { ChannelEvent } from './model.ts';
import { Standstill, StillOurs } from './standstill.ts';

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
export type AriLinkOptions = Omit<AriConnectionOptions, 'standstill'>;

/** An app beside the shared one must be open within this time, ms. */
const OWN_APP_MS = 3_000;
/** A successor that lives takes the calls that were left to it within this time. */
const LEAVE_MS = 5_000;
/** A successor that is told `ready` takes the app within this time, or it has died. */
const SUCCESSOR_MS = 5_000;

/**
 * The link to Asterisk's events: a connection for the shared app, and after a handover one for an
 * app of this process, to which its channels were moved. A moved channel stays in its mixing
 * bridge, so its caller hears nothing of it.
 */
export class AriLink {
  /** Times that another process took the app from us without asking, and that we got it back. */
  readonly takeovers: AriConnection['takeovers'];
  readonly #access: AriAccess;
  readonly #options: AriConnectionOptions;
  readonly #address: AriConnectionOptions['address'];
  readonly #standstill: Standstill;
  readonly #ari: AriClient;
  readonly #handlers: AriLinkHandlers;
  #shared: AriConnection;
  #own: AriConnection | undefined;
  #isStopped = false;
  /** The shared app is the successor's. */
  #isOver = false;
  #isHandingOver = false;
  #successor = '';
  /** Channels whose StasisEnd from the shared app is of our move. */
  readonly #leaving = new Set<string>();
  /** Channels that have left the shared app so: later events of them come from our own app too. */
  readonly #left = new Set<string>();
  /** Channels whose StasisStart in our own app is of our move. */
  readonly #arriving = new Set<string>();
  readonly #moves = new Set<Promise<void>>();
  /** Channels whose events come from our own app. */
  readonly #elsewhere = new Set<string>();
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
    this.#shared = this.#connection(this.#options);
    const stillOurs = new StillOurs(this.#standstill, () => this.#areCallsOurs());
    ari.checkBefore(() => stillOurs.check());
    this.takeovers = this.#shared.takeovers;
  }

  #connection(options: AriConnectionOptions): AriConnection {
    return new AriConnection(this.#access, options, this.#ari, {
      ...this.#handlers,
      onConnected: async () => {
        this.#resume();
        await this.#handlers.onConnected();
      },
      // Without the shared app, our own one tells of troubles with Asterisk.
      onDown: (why) => {
        if (!this.#isOver) this.#handlers.onDown(why);
      },
      onTakenOver: () => this.#takenOver(),
      onEvent: (event) => this.#sharedEvent(event),
      onAsked: (successor) => void this.#asked(successor),
      onYielded: () => void this.#yielded(),
      onOffered: () => {},
    });
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
    if (this.#isOver && this.#own !== undefined) {
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
    const ready = Promise.withResolvers<void>();
    const ignore = () => {};
    const access = { ...this.#access, app: ownApp(this.#access.app, instance) };
    const taken = new AriConnection(access, this.#options, this.#ari, {
      onConnected: async () => {},
      onReady: () => ready.resolve(),
      onDown: ignore,
      onTakenOver: ignore,
      onAsked: ignore,
      onYielded: ignore,
      onOffered: ignore,
      onLeft: ignore,
      onAsteriskStopping: ignore,
      onEvent: ignore,
      onUnreadable: ignore,
    });
    taken.start();
    try {
      await Promise.race([ready.promise, tooLate(access.app)]);
    } catch (error) {
      await taken.stop();
      throw error;
    }
    // The claim stays: by it a process that only stood still knows that its calls are ours.
    return () => taken.stop(true);
  }

  /**
   * After a standstill: whether the app of our calls is still ours. If not, requests that change
   * something wait until the events tell the same, or the app is ours.
   */
  async #areCallsOurs(): Promise<boolean> {
    const claim = await this.#ari.globalVariable(claimVariable(this.#ari.app));
    const isOurs = !new HolderWatch(this.#options.instance).isOther(claim);
    if (isOurs) return true;
    this.#ari.suspend();
    this.#doubtLater();
    return false;
  }

  /**
   * Forgets channels that are gone, or of no concern to us any more: the event that tells of their
   * end may have been lost.
   */
  prune(isKnown: (channelId: string) => boolean): void {
    for (const ids of [this.#elsewhere, this.#left, this.#leaving, this.#arriving])
      for (const id of ids) if (!isKnown(id)) ids.delete(id);
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
    return this.#isOver ? [this.#own] : [this.#shared, this.#own];
  }

  get #ownName(): string {
    return ownApp(this.#access.app, this.#options.instance);
  }

  async #asked(successor: string): Promise<void> {
    if (!this.#isHandingOver) return await this.#handOver(successor);
    if (successor !== this.#successor) await this.#say('busy', successor).catch(() => {});
  }

  /** Rejects never: after a handover that fails new calls come here as before. */
  async #handOver(successor: string): Promise<void> {
    this.#isHandingOver = true;
    this.#successor = successor;
    try {
      await this.#say('asked');
      await this.#openOwnApp();
      this.#handlers.onHandingOver();
      const channelIds = await this.#ari.applicationChannels();
      this.#ari.useApp(this.#ownName);
      await Promise.all(channelIds.filter(this.#handlers.staysOurs).map((id) => this.#move(id, [])));
      this.#shared.yield();
      this.#waiting = setTimeout(() => this.#giveUp('the successor did not come'), SUCCESSOR_MS);
      await this.#say('ready');
    } catch (error) {
      if (!this.#isOver) this.#giveUp((error as Error).message);
    }
  }

  /** There is no successor. Channels that were moved stay in our own app. */
  #giveUp(why: string): void {
    clearTimeout(this.#waiting);
    this.#shared.yield(false);
    this.#isHandingOver = false;
    this.#ari.useApp(this.#access.app);
    this.#handlers.onResumed(why);
  }

  async #say(step: HandoverStep, successor = this.#successor): Promise<void> {
    await this.#ari.setGlobalVariable(handoverVariable(this.#access.app, successor), step);
  }

  /** Opens the app of our own. It stays open: a second handover moves further calls there. */
  async #openOwnApp(): Promise<void> {
    if (this.#own !== undefined) return;
    const ready = Promise.withResolvers<void>();
    const access = { ...this.#access, app: this.#ownName };
    // While the shared app is ours too, its connection tells of troubles with Asterisk.
    const isAlone = () => this.#isOver;
    const own = new AriConnection(
      access,
      { ...this.#options, address: this.#address, lastClaim: ENDED },
      this.#ari,
      {
        onConnected: async () => {
          if (isAlone()) await this.#handlers.onConnected();
        },
        onReady: () => {
          ready.resolve();
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
          if (this.#isOver && this.#handlers.mayTake()) this.#shared.take();
        },
        onLeft: () => {},
        onAsteriskStopping: this.#handlers.onAsteriskStopping,
        onEvent: (event) => this.#ownEvent(event),
        onUnreadable: this.#handlers.onUnreadable,
      },
    );
    this.#own = own;
    own.start();
    await Promise.race([ready.promise, tooLate(this.#ownName)]);
  }

  /** The app was taken without asking. Calls in our own app are not concerned. */
  #takenOver(): void {
    clearTimeout(this.#waiting);
    const isElsewhere = (id: string) => this.#elsewhere.has(id);
    const { size } = this.#elsewhere;
    this.#handlers.onTakenOver(isElsewhere);
    if (size === 0) return;
    this.#isOver = true;
    this.#isHandingOver = true;
    this.#ari.useApp(this.#ownName);
    this.#ari.resume();
    this.#handlers.onHandedOver();
    this.#handlers.onReady();
  }

  async #yielded(): Promise<void> {
    clearTimeout(this.#waiting);
    this.#isOver = true;
    while (this.#moves.size > 0) await Promise.all(this.#moves);
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
    if (!this.#isOver) return;
    this.#isOver = false;
    this.#isHandingOver = false;
    this.#left.clear();
    this.#ari.useApp(this.#access.app);
    this.#handlers.onResumed('the new process is gone');
  }

  #sharedEvent(event: ChannelEvent): void {
    if (this.#isHandingOver && event.type !== 'Dial') {
      const { id } = event.channel;
      if (this.#left.has(id)) return;
      if (event.type === 'StasisEnd' && this.#leaving.delete(id)) return void this.#left.add(id);
      this.#handlers.onEvent(event);
      if (event.type !== 'StasisStart' || !this.#handlers.staysOurs(id)) return;
      const moved = this.#move(id, event.args).finally(() => this.#moves.delete(moved));
      this.#moves.add(moved);
      return;
    }
    this.#handlers.onEvent(event);
  }

  #ownEvent(event: ChannelEvent): void {
    if (event.type === 'ChannelDestroyed') this.#elsewhere.delete(event.channel.id);
    if (event.type === 'StasisStart' && this.#arriving.delete(event.channel.id)) return;
    this.#handlers.onEvent(event);
  }

  /** Moves a channel to our own app. One that is not in Stasis has its events sent there. */
  async #move(id: string, args: readonly string[]): Promise<void> {
    this.#leaving.add(id);
    this.#arriving.add(id);
    const isMoved = await this.#ari.moveChannel(id, this.#ownName, args).catch(() => undefined);
    this.#elsewhere.add(id);
    // Without a reply it may have been moved.
    if (isMoved === false) {
      this.#leaving.delete(id);
      this.#arriving.delete(id);
    }
    // Subscriptions outlast the stay in an app: the successor must have none of ours.
    await this.#ari.subscribe(id, this.#ownName).catch(() => {});
    await this.#ari.unsubscribe(id, this.#access.app).catch(() => {});
  }
}

/** Rejects after the limit for an app to open. */
async function tooLate(app: string): Promise<never> {
  await delay(OWN_APP_MS, undefined, { ref: false });
  throw new Error(`the app ${app} did not open within ${OWN_APP_MS} ms`);
}
