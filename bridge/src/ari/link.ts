import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from './access.ts';
import type { AriClient } from './client.ts';
import { AriConnection, type AriConnectionHandlers, type AriConnectionOptions } from './connection.ts';
import { formatStep, type HandoverStep, handoverVariable, ownApp } from './handover.ts';
import type { ChannelEvent } from './model.ts';

/** Notifications to the owner of the link. */
export interface AriLinkHandlers extends Omit<AriConnectionHandlers, 'onAsked' | 'onYielded'> {
  /** A successor asks for the app: take no new orders, and let go of dials of other clients. */
  readonly onHandingOver: () => void;
  /** Whether a channel of the shared app stays with this process. */
  readonly isKept: (channelId: string) => boolean;
  /** The successor has the shared app. This process keeps its calls, and gets no new ones. */
  readonly onHandedOver: () => void;
  /** The successor is gone: this process has the shared app again, and gets new calls. */
  readonly onResumed: () => void;
}

/** An app beside the shared one must be open within this time, ms. */
const OWN_APP_MS = 3_000;

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

  constructor(access: AriAccess, options: AriConnectionOptions, ari: AriClient, handlers: AriLinkHandlers) {
    this.#access = access;
    this.#options = options;
    this.#ari = ari;
    this.#handlers = handlers;
    this.#shared = this.#connection(handlers, options);
    this.takeovers = this.#shared.takeovers;
  }

  #connection(handlers: AriLinkHandlers, options: AriConnectionOptions): AriConnection {
    return new AriConnection(this.#access, options, this.#ari, {
      ...handlers,
      onEvent: (event) => this.#sharedEvent(event),
      onAsked: (successor) => void this.#handOver(successor),
      onYielded: () => void this.#yielded(),
    });
  }

  start(): void {
    this.#shared.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([this.#shared.stop(), this.#own?.stop()]);
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

  /** Rejects never: a handover that fails leaves all as it is, and the successor takes the app. */
  async #handOver(successor: string): Promise<void> {
    if (this.#isHandingOver) return;
    this.#isHandingOver = true;
    this.#successor = successor;
    try {
      await this.#say('asked');
      await this.#openOwnApp();
      this.#handlers.onHandingOver();
      const held = await this.#ari.applicationChannels();
      this.#ari.useApp(this.#ownName);
      await Promise.all(held.filter(this.#handlers.isKept).map((id) => this.#move(id, [])));
      this.#shared.yield();
      await this.#say('ready');
    } catch (error) {
      this.#isHandingOver = false;
      this.#ari.useApp(this.#access.app);
      this.#handlers.onUnreadable(error as Error);
    }
  }

  async #say(step: HandoverStep): Promise<void> {
    const variable = handoverVariable(this.#access.app);
    await this.#ari.setGlobalVariable(variable, formatStep(this.#successor, step));
  }

  /** Opens the app of our own. It stays open: a second handover moves further calls there. */
  async #openOwnApp(): Promise<void> {
    if (this.#own !== undefined) return;
    const ready = Promise.withResolvers<void>();
    const access = { ...this.#access, app: this.#ownName };
    // While the shared app is ours too, its connection tells of troubles with Asterisk.
    const isAlone = () => this.#isOver;
    const own = new AriConnection(access, this.#options, this.#ari, {
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
      onTakenOver: () => this.#handlers.onTakenOver(),
      onAsked: () => {},
      onYielded: () => {},
      onAsteriskStopping: this.#handlers.onAsteriskStopping,
      onEvent: (event) => this.#ownEvent(event),
      onUnreadable: this.#handlers.onUnreadable,
    });
    this.#own = own;
    own.start();
    await Promise.race([ready.promise, tooLate(this.#ownName)]);
  }

  async #yielded(): Promise<void> {
    this.#isOver = true;
    while (this.#moves.size > 0) await Promise.all(this.#moves);
    await this.#say('done').catch(() => {});
    this.#handlers.onHandedOver();
    this.#standBy();
  }

  /** Waits for the end of the successor, to take new calls again. */
  #standBy(): void {
    if (this.#isStopped) return;
    this.#shared = this.#connection(
      {
        ...this.#handlers,
        // Our own app tells of troubles with Asterisk until the shared one is ours again.
        onDown: (why) => {
          if (!this.#isOver) this.#handlers.onDown(why);
        },
        onConnected: async () => {
          this.#resume();
          await this.#handlers.onConnected();
        },
      },
      { ...this.#options, waits: true },
    );
    this.#shared.start();
  }

  #resume(): void {
    if (!this.#isOver) return;
    this.#isOver = false;
    this.#isHandingOver = false;
    this.#left.clear();
    this.#ari.useApp(this.#access.app);
    this.#handlers.onResumed();
  }

  #sharedEvent(event: ChannelEvent): void {
    if (this.#isHandingOver && event.type !== 'Dial') {
      const { id } = event.channel;
      if (this.#left.has(id)) return;
      if (event.type === 'StasisEnd' && this.#leaving.delete(id)) return void this.#left.add(id);
      this.#handlers.onEvent(event);
      if (event.type !== 'StasisStart' || !this.#handlers.isKept(id)) return;
      const moved = this.#move(id, event.args).finally(() => this.#moves.delete(moved));
      this.#moves.add(moved);
      return;
    }
    this.#handlers.onEvent(event);
  }

  #ownEvent(event: ChannelEvent): void {
    if (event.type === 'StasisStart' && this.#arriving.delete(event.channel.id)) return;
    this.#handlers.onEvent(event);
  }

  /** Moves a channel to our own app. One that is not in Stasis has its events sent there. */
  async #move(id: string, args: readonly string[]): Promise<void> {
    this.#leaving.add(id);
    this.#arriving.add(id);
    const isMoved = await this.#ari.moveChannel(id, this.#ownName, args).catch(() => false);
    if (!isMoved) {
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
