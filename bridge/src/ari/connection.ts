import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from './access.ts';
import type { ActiveApps } from './active-apps.ts';
import { AriClient } from './client.ts';
import { EventFence } from './event-fence.ts';
import { EventsSocket } from './events.ts';
import { parseNotice, parseRequest } from './handover.ts';
import { Heartbeat } from './heartbeat.ts';
import { Holding } from './holding.ts';
import { type AriEvent, type ChannelEvent, EVENT_TYPES } from './model.ts';
import type { AriError } from './requests.ts';
import type { Standstill } from './standstill.ts';

/** Notifications to the owner of the connection. */
export interface AriConnectionHandlers {
  /**
   * The app is ours and its events arrive. If the promise rejects, the connection is opened again.
   */
  readonly onConnected: () => Promise<void>;
  /** `onConnected` has also completed: the connection is ready. */
  readonly onReady: () => void;
  /** Events do not arrive; the connection is retried. Called again when the reason changes. */
  readonly onDown: (why: string) => void;
  /**
   * Another process has the app, and with it our calls. Forget them, and change nothing in
   * Asterisk.
   */
  readonly onTakenOver: () => void;
  /**
   * A successor asks for the app. To give it, move the calls away, then {@link
   * AriConnection.yield}.
   */
  readonly onAsked: (successor: string) => void;
  /** The successor has the app. The connection has ended. */
  readonly onYielded: () => void;
  /** Another process stops, and offers its calls to this one. */
  readonly onOffered: () => void;
  /** Another process has left its calls to this one. */
  readonly onLeft: (instance: string) => void;
  readonly onEvent: (event: ChannelEvent) => void;
  /** Asterisk was told to stop, and waits some seconds for its calls (`asterisk/stop-calls`). */
  readonly onAsteriskStopping: () => void;
  /** An event could not be parsed. It is ignored. */
  readonly onUnreadable: (error: Error) => void;
}

/** How often another process took the app from us, and that we got it back. */
export interface Takeovers {
  lost: number;
  regained: number;
}

/** Requests of the calls: they wait, or fail, while another process may have the calls' app. */
export interface HeldRequests {
  /** The connection tells here that its app is active, or is not. */
  readonly apps: ActiveApps;
  suspend(): void;
  resume(): void;
  refuse(): void;
}

/** Settings of the connection. */
export interface AriConnectionOptions {
  /** Name of this process: letters, digits, `_` and `-`. */
  readonly instance: string;
  readonly heartbeatMs: number;
  /** Whether this process stood still, and others may have taken it for dead. */
  readonly standstill: Standstill;
  /** Waits until no other process has the app, before it connects first. */
  readonly waits?: boolean;
  /** Whether another process is known to be dead. It is not asked for the app then. */
  readonly isDead?: (instance: string) => Promise<boolean>;
  /** Where other processes of the bridge reach this one. The claim of the own app has it. */
  readonly address?: (() => string | undefined) | undefined;
  /** Counted here. */
  readonly takeovers?: Takeovers;
  /** The claim that a stop leaves. Empty by default. */
  readonly lastClaim?: string;
}

const BACKOFF_MIN_MS = 200;
/** Longest pause between attempts. It is short, because all callers wait. */
const BACKOFF_MAX_MS = 1_000;
/** Name of the user event that announces the end of Asterisk. */
const ASTERISK_STOPPING = 'asterisk-stopping';
/**
 * A heartbeat proves that the app is ours if it comes back within this time. Another process may
 * have taken it from one that was on its way for longer, or came back during a standstill.
 */
const PROOF_MS = 200;
/** Limit for clearing the claim when stopping. */
const STOP_MS = 500;

/**
 * The connection for Asterisk's events. Connects, verifies by a heartbeat through the app that
 * events arrive, and reconnects. There is one handshake at a time, and none before Asterisk has
 * answered a ping. Else a handshake that waits in an Asterisk that hangs would be served later, and
 * take the app from its holder.
 *
 * Another process may take the app; our calls are then its calls. If it makes a claim ({@link
 * Holding}), the app is taken back only when that process is gone. Without a claim the cause
 * was a late handshake of ours, or another ARI client. Then the app is taken back at once, and
 * after some attempts with growing pauses.
 */
export class AriConnection {
  /** Times that another process took the app from us, and that we got it back. */
  readonly #takeovers: Takeovers;
  readonly #access: AriAccess;
  readonly #options: AriConnectionOptions;
  readonly #ari: HeldRequests;
  /** A separate client, so that heartbeats do not wait behind requests of calls. */
  readonly #own: AriClient;
  readonly #handlers: AriConnectionHandlers;
  readonly #abort = new AbortController();
  readonly #holding: Holding;
  #socket: EventsSocket | undefined;
  /** Catch-up of the current connection. */
  #fence: EventFence | undefined;
  /** Number of connections so far. */
  #connections = 0;
  /** Resolves when the event filter of the connection was set or refused. */
  #filtered = Promise.resolve();
  #running = Promise.resolve();
  #attempt = 0;
  #problem = '';
  #wasOurs = false;
  #isProved = false;
  #wasReplaced = false;
  /** Another process has taken the app since it was last ours. */
  #isTaken = false;
  /** A successor may take the app: our calls are in another app. */
  #isYielding = false;
  #isLeaving = false;

  /**
   * `ari`: the requests of the calls. They are held while another process may have the app.
   */
  constructor(
    access: AriAccess,
    options: AriConnectionOptions,
    ari: HeldRequests,
    handlers: AriConnectionHandlers,
  ) {
    this.#access = access;
    this.#options = options;
    this.#ari = ari;
    this.#own = new AriClient(access);
    this.#handlers = handlers;
    this.#takeovers = options.takeovers ?? { lost: 0, regained: 0 };
    const { instance, heartbeatMs, isDead, address, waits = false } = options;
    const { signal } = this.#abort;
    const ours = { app: access.app, instance, heartbeatMs };
    this.#holding = new Holding({ ari: this.#own, ...ours, isDead, address, signal }, waits);
    this.#wasOurs = waits;
  }

  /** Starts connecting, and reconnects until `stop()`. */
  start(): void {
    this.#running = this.#run();
  }

  /** Closes the connection and clears the claim, if it is not to be kept. */
  async stop(keepsClaim = false): Promise<void> {
    this.#abort.abort();
    const isOurs = this.#isProved && !keepsClaim;
    this.#socket?.close('stopped');
    const freed = isOurs ? this.#holding.clear(this.#options.lastClaim ?? '') : undefined;
    await Promise.race([freed, delay(STOP_MS, undefined, { ref: false })]);
    await this.#own.close();
    await this.#running;
  }

  /**
   * Marks the current state of the events. The returned function resolves when all events have
   * arrived that Asterisk sent on this connection before it was called. It rejects if the
   * connection has ended, or after `ARI_TIMEOUT_MS`.
   */
  caughtUp(): () => Promise<void> {
    const fence = this.#fence;
    return async () => {
      if (fence === undefined) throw new Error('the events of Asterisk do not reach us');
      await fence.passed();
    };
  }

  /** Whether a successor may take the app. Until it does, events arrive as before. */
  yield(isYielding = true): void {
    this.#isYielding = isYielding;
  }

  /** The claim is not renewed any more, and `text` is written instead: another process may come. */
  async leave(text: string): Promise<void> {
    this.#isYielding = true;
    this.#isLeaving = true;
    await this.#holding.clear(text);
  }

  /** The holder that this connection waits for makes room: asks it for the app. */
  take(): void {
    this.#holding.offered();
  }

  /** The app is ours, and its events arrive. */
  get isReady(): boolean {
    return this.#isProved;
  }

  /** Writes a global variable, even while requests of the calls are held. Undefined: removes it. */
  async tell(variable: string, value: string | undefined): Promise<void> {
    const told =
      value === undefined
        ? this.#own.removeGlobalVariable(variable)
        : this.#own.setGlobalVariable(variable, value);
    await told.catch(() => {});
  }

  /** Closes the connection. It is opened again, after a pause that grows with each failure. */
  reconnect(why: string): void {
    this.#socket?.close(why);
  }

  get #stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#ping();
        // At its first start a process takes the app from any holder, as the operator intends.
        if (!this.#wasOurs) await this.#holding.ask();
        else if (!(await this.#holding.isFree(this.#wasReplaced, () => this.#letGo()))) continue;
        if (this.#stopped) return;
        await this.#connect();
        // Check at once who has taken the app.
        if (this.#wasReplaced) continue;
      } catch (error) {
        this.#down((error as Error).message);
      }
      await this.#backOff();
    }
  }

  /**
   * Rejects if Asterisk does not answer. Any HTTP status is fine: the handshake gets it too, and
   * reports it.
   */
  async #ping(): Promise<void> {
    await this.#own.ping().catch((error: AriError) => {
      if (error.status === 0) throw error;
    });
  }

  /** Resolves when the connection has ended. */
  async #connect(): Promise<void> {
    const closed = Promise.withResolvers<string>();
    this.#wasReplaced = false;
    this.#isProved = false;
    const { standstill } = this.#options;
    let sentAfter = standstill.count;
    const heartbeat = new Heartbeat({
      instance: this.#options.instance,
      everyMs: this.#options.heartbeatMs,
      send: (name) => {
        sentAfter = standstill.count;
        return this.#own.sendUserEvent(name);
      },
      // The word that another process has the app may lie behind it, and is read first.
      onBeat: (tookMs) =>
        void setImmediate(() => this.#claim(sentAfter === standstill.count && tookMs < PROOF_MS)),
      // Others must not take this process for dead before it connects again by itself.
      onLate: () => void this.#claim(false),
      onLost: (why) => this.#socket?.close(why),
    });
    this.#connections += 1;
    const fence = new EventFence({
      instance: `${this.#options.instance}-${this.#connections}`,
      limitMs: this.#access.timeoutMs,
      // The event filter of an earlier process would block the mark.
      send: (name) => this.#filtered.then(() => this.#own.sendUserEvent(name)),
    });
    this.#fence = fence;
    this.#socket = new EventsSocket(this.#access, {
      onOpen: () => this.#opened(heartbeat),
      onClosed: closed.resolve,
      onEvent: (event) => this.#happened(event, heartbeat, fence),
      onUnreadable: this.#handlers.onUnreadable,
    });
    const why = await closed.promise;
    this.#ari.apps.socketClosed(this.#access.app);
    heartbeat.stop();
    fence.close();
    this.#fence = undefined;
    this.#socket = undefined;
    this.#isProved = false;
    if (!this.#stopped) this.#down(why);
  }

  #opened(heartbeat: Heartbeat): void {
    const socket = this.#socket;
    this.#wasOurs = true;
    this.#holding.taken();
    if (this.#isTaken) this.#takeovers.regained += 1;
    this.#isTaken = false;
    // Tells an earlier holder that this is another process, not a late handshake of its own.
    void this.#claim();
    // The filter only saves work, so it may fail. But one of an earlier process may block
    // heartbeats.
    this.#filtered = this.#own.allowEvents(EVENT_TYPES).catch(() => {});
    const proved = this.#filtered.then(() => heartbeat.start());
    // Not earlier: Asterisk hangs up channels that enter an app that is not active yet.
    const connected = proved.then(async () => {
      // Calls of the holder that came in the last moment are not ours.
      await this.#holding.settled();
      if (this.#socket !== socket) return;
      this.#ari.resume();
      // Before the handler: its comparison does not wait for calls that wait for this.
      this.#ari.apps.opened(this.#access.app);
      // The handler has a problem of its own from now on: the next one is reported again.
      this.#problem = '';
      await this.#handlers.onConnected();
    });
    connected.then(
      () => {
        // The connection was lost or taken over meanwhile.
        if (this.#stopped || this.#socket !== socket) return;
        this.#isProved = true;
        this.#attempt = 0;
        this.#problem = '';
        this.#handlers.onReady();
      },
      (error: Error) => socket?.close(error.message),
    );
  }

  #happened(event: AriEvent, heartbeat: Heartbeat, fence: EventFence): void {
    if (event.type === 'ChannelUserevent') {
      if (event.eventname === ASTERISK_STOPPING) return this.#handlers.onAsteriskStopping();
      const successor = parseRequest(event.eventname);
      if (successor !== undefined) return this.#handlers.onAsked(successor);
      const notice = parseNotice(event.eventname);
      if (notice?.type === 'offer') return this.#handlers.onOffered();
      if (notice?.type === 'farewell') return this.#handlers.onLeft(notice.instance);
      fence.heard(event.eventname);
      return heartbeat.heard(event.eventname);
    }
    if (event.type !== 'ApplicationReplaced') return this.#handlers.onEvent(event);
    if (this.#isYielding) return this.#yielded();
    this.#wasReplaced = true;
    this.#lost();
    this.#ari.suspend();
    this.#socket?.close(`another process has taken over the Stasis app ${this.#access.app}`);
  }

  #yielded(): void {
    this.#isProved = false;
    this.#abort.abort();
    this.#socket?.close('the successor has the Stasis app');
    this.#handlers.onYielded();
    // Nothing of it is used any more, and nobody stops it.
    void this.#running.then(() => this.#own.close());
  }

  /** Never rejects. The next heartbeat writes the claim again. */
  async #claim(isProof = true): Promise<void> {
    if (this.#wasReplaced || this.#stopped || this.#isLeaving) return;
    await this.#holding.claim(isProof);
  }

  /** Reported by Asterisk, or found by a claim after the socket closed. */
  #lost(): void {
    if (!this.#isTaken) this.#takeovers.lost += 1;
    this.#isTaken = true;
  }

  #letGo(): void {
    this.#lost();
    this.#ari.refuse();
    this.#down(`another process has taken over the Stasis app ${this.#access.app}`);
    this.#handlers.onTakenOver();
  }

  async #backOff(): Promise<void> {
    const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    await this.#pause(ceilingMs / 2 + (Math.random() * ceilingMs) / 2);
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#abort.signal }).catch(() => {});
  }

  /** Reports each reason once per outage. */
  #down(problem: string): void {
    if (this.#stopped || problem === this.#problem) return;
    this.#problem = problem;
    this.#handlers.onDown(problem);
  }
}
