import { setTimeout as delay } from 'node:timers/promises';
import type { AriAccess } from './access.ts';
import { CatchUp } from './catch-up.ts';
import { claimVariable, formatClaim, HolderWatch, parseClaim } from './claim.ts';
import { AriClient } from './client.ts';
import { EventsSocket } from './events.ts';
import { HandoverRequest, parseRequest } from './handover.ts';
import { Heartbeat } from './heartbeat.ts';
import { type AriEvent, type ChannelEvent, EVENT_TYPES } from './model.ts';
import type { AriError } from './requests.ts';

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
  readonly onEvent: (event: ChannelEvent) => void;
  /** Asterisk was told to stop, and waits some seconds for its calls (`asterisk/stop-calls`). */
  readonly onAsteriskStopping: () => void;
  /** An event could not be parsed. It is ignored. */
  readonly onUnreadable: (error: Error) => void;
}

/** Settings of the connection. */
export interface AriConnectionOptions {
  /** Name of this process: letters, digits, `_` and `-`. */
  readonly instance: string;
  readonly heartbeatMs: number;
  /** Waits until no other process has the app, before it connects first. */
  readonly waits?: boolean;
  /** Whether another process is known to be dead. It is not asked for the app then. */
  readonly isDead?: (instance: string) => Promise<boolean>;
  /** The claim that a stop leaves. Empty by default. */
  readonly lastClaim?: string;
}

const BACKOFF_MIN_MS = 200;
/** Longest pause between attempts. It is short, because all callers wait. */
const BACKOFF_MAX_MS = 1_000;
/** A process that took the app writes its claim within this time. */
const CLAIM_WAIT_MS = 250;
/** Times that the app is taken back within {@link RETAKES_MS} from a client without a claim. */
const RETAKES_MAX = 3;
const RETAKES_MS = 600_000;
/** Pauses before the app is taken back again from a client without a claim. */
const UNCLAIMED_MIN_MS = 5_000;
const UNCLAIMED_MAX_MS = 60_000;
/** Name of the user event that announces the end of Asterisk. */
const ASTERISK_STOPPING = 'asterisk-stopping';
/** Limit for clearing the claim when stopping. */
const STOP_MS = 500;

/**
 * The connection for Asterisk's events. Connects, verifies by a heartbeat through the app that
 * events arrive, and reconnects. There is one handshake at a time, and none before Asterisk has
 * answered a ping. Else a handshake that waits in an Asterisk that hangs would be served later, and
 * take the app from its holder.
 *
 * Another process may take the app; our calls are then its calls. If it makes a claim ({@link
 * HolderWatch}), the app is taken back only when that process is gone. Without a claim the cause
 * was a late handshake of ours, or another ARI client. Then the app is taken back at once, and
 * after some attempts with growing pauses.
 */
export class AriConnection {
  /** Times that another process took the app from us, and that we got it back. */
  readonly takeovers = { lost: 0, regained: 0 };
  readonly #access: AriAccess;
  readonly #options: AriConnectionOptions;
  readonly #ari: AriClient;
  /** A separate client, so that heartbeats do not wait behind requests of calls. */
  readonly #own: AriClient;
  readonly #handlers: AriConnectionHandlers;
  readonly #abort = new AbortController();
  readonly #watch: HolderWatch;
  readonly #variable: string;
  #socket: EventsSocket | undefined;
  /** Catch-up of the current connection. */
  #catchUp: CatchUp | undefined;
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
  #hasLetGo = false;
  /** Another process has taken the app since it was last ours. */
  #isTaken = false;
  /** A successor may take the app: our calls are in another app. */
  #isYielding = false;
  #handover: HandoverRequest;
  /** The holder before us has moved its calls out of the app. */
  #isHandedOver = false;
  /** The app was given up to a client without a claim. */
  #isUnclaimed = false;
  /** Times when a client without a claim took the app, monotonic ms. */
  #losses: number[] = [];
  #unclaimedMs = UNCLAIMED_MIN_MS;

  /**
   * `ari`: the client of the calls. Its requests are held while another process may have the app.
   */
  constructor(
    access: AriAccess,
    options: AriConnectionOptions,
    ari: AriClient,
    handlers: AriConnectionHandlers,
  ) {
    this.#access = access;
    this.#options = options;
    this.#ari = ari;
    this.#own = new AriClient(access);
    this.#handlers = handlers;
    this.#watch = new HolderWatch(options.instance);
    this.#variable = claimVariable(access.app);
    const { instance, waits = false } = options;
    this.#wasOurs = waits;
    this.#hasLetGo = waits;
    this.#handover = new HandoverRequest(this.#own, access.app, instance, this.#abort.signal);
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
    const freed = isOurs
      ? this.#own.setGlobalVariable(this.#variable, this.#options.lastClaim ?? '').catch(() => {})
      : undefined;
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
    const catchUp = this.#catchUp;
    return async () => {
      if (catchUp === undefined) throw new Error('the events of Asterisk do not reach us');
      await catchUp.done();
    };
  }

  /** Whether a successor may take the app. Until it does, events arrive as before. */
  yield(isYielding = true): void {
    this.#isYielding = isYielding;
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
        if (!this.#wasOurs) this.#isHandedOver = await this.#askHolder();
        else if (!(await this.#isFree())) continue;
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

  /** Whether another process had the app, and has made room for us. */
  async #askHolder(): Promise<boolean> {
    const claim = await this.#own.globalVariable(this.#variable).catch((error: AriError) => {
      // The handshake is refused too, and says why in better words.
      if (error.status === 401 || error.status === 403) return '';
      throw error;
    });
    const holder = parseClaim(claim)?.instance;
    if (holder === undefined || !this.#watch.isOther(claim)) return false;
    return !(await this.#options.isDead?.(holder)) && (await this.#handover.ask());
  }

  /** Resolves when the connection has ended. */
  async #connect(): Promise<void> {
    const closed = Promise.withResolvers<string>();
    this.#wasReplaced = false;
    this.#isProved = false;
    const heartbeat = new Heartbeat({
      instance: this.#options.instance,
      everyMs: this.#options.heartbeatMs,
      send: (name) => this.#own.sendUserEvent(name),
      onBeat: (count) => void this.#claim(count),
      onLost: (why) => this.#socket?.close(why),
    });
    this.#connections += 1;
    const catchUp = new CatchUp({
      instance: `${this.#options.instance}-${this.#connections}`,
      limitMs: this.#access.timeoutMs,
      // The event filter of an earlier process would block the mark.
      send: (name) => this.#filtered.then(() => this.#own.sendUserEvent(name)),
    });
    this.#catchUp = catchUp;
    this.#socket = new EventsSocket(this.#access, {
      onOpen: () => this.#opened(heartbeat),
      onClosed: closed.resolve,
      onEvent: (event) => this.#happened(event, heartbeat, catchUp),
      onUnreadable: this.#handlers.onUnreadable,
    });
    const why = await closed.promise;
    heartbeat.stop();
    catchUp.close();
    this.#catchUp = undefined;
    this.#socket = undefined;
    this.#isProved = false;
    if (!this.#stopped) this.#down(why);
  }

  #opened(heartbeat: Heartbeat): void {
    const socket = this.#socket;
    this.#wasOurs = true;
    this.#hasLetGo = false;
    if (this.#isTaken) this.takeovers.regained += 1;
    this.#isTaken = false;
    // Tells an earlier holder that this is another process, not a late handshake of its own.
    void this.#claim(0);
    // The filter only saves work, so it may fail. But one of an earlier process may block
    // heartbeats.
    this.#filtered = this.#own.allowEvents(EVENT_TYPES).catch(() => {});
    const proved = this.#filtered.then(() => heartbeat.start());
    // Not earlier: Asterisk hangs up channels that enter an app that is not active yet.
    const connected = proved.then(async () => {
      // Calls of the holder that came in the last moment are not ours.
      if (this.#isHandedOver) await this.#handover.done();
      this.#isHandedOver = false;
      if (this.#socket !== socket) return;
      this.#ari.release();
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

  #happened(event: AriEvent, heartbeat: Heartbeat, catchUp: CatchUp): void {
    if (event.type === 'ChannelUserevent') {
      if (event.eventname === ASTERISK_STOPPING) return this.#handlers.onAsteriskStopping();
      const successor = parseRequest(event.eventname);
      if (successor !== undefined) return this.#handlers.onAsked(successor);
      catchUp.heard(event.eventname);
      return heartbeat.heard(event.eventname);
    }
    if (event.type !== 'ApplicationReplaced') return this.#handlers.onEvent(event);
    if (this.#isYielding) return this.#yielded();
    this.#wasReplaced = true;
    this.#lost();
    this.#ari.hold();
    this.#socket?.close(`another process has taken over the Stasis app ${this.#access.app}`);
  }

  #yielded(): void {
    this.#isProved = false;
    this.#abort.abort();
    this.#socket?.close('the successor has the Stasis app');
    this.#handlers.onYielded();
  }

  /** Never rejects. The next heartbeat writes the claim again. */
  async #claim(beat: number): Promise<void> {
    if (this.#wasReplaced || this.#stopped) return;
    const { instance, heartbeatMs: everyMs } = this.#options;
    await this.#own
      .setGlobalVariable(this.#variable, formatClaim({ instance, beat, everyMs }))
      .catch(() => {});
  }

  /**
   * Whether the app may be taken: not while another process holds it. Waits one heartbeat interval
   * if so. Rejects if Asterisk does not answer.
   */
  async #isFree(): Promise<boolean> {
    if (this.#hasLetGo) return await this.#waitForHolder();
    if (this.#wasReplaced) await this.#pause(CLAIM_WAIT_MS * (1 + Math.random()));
    const claim = await this.#own.globalVariable(this.#variable);
    const isOther = this.#watch.isOther(claim);
    if (!isOther && (!this.#wasReplaced || this.#mayTakeBack())) return true;
    this.#isUnclaimed = !isOther;
    this.#letGo();
    return false;
  }

  #mayTakeBack(): boolean {
    const nowMs = performance.now();
    this.#losses = [...this.#losses.filter((lostMs) => nowMs - lostMs < RETAKES_MS), nowMs];
    if (this.#losses.length === 1) this.#unclaimedMs = UNCLAIMED_MIN_MS;
    return this.#losses.length <= RETAKES_MAX;
  }

  /** Reported by Asterisk, or found by a claim after the socket closed. */
  #lost(): void {
    if (!this.#isTaken) this.takeovers.lost += 1;
    this.#isTaken = true;
  }

  #letGo(): void {
    this.#hasLetGo = true;
    this.#lost();
    this.#watch.failed();
    this.#ari.refuse();
    this.#down(`another process has taken over the Stasis app ${this.#access.app}`);
    this.#handlers.onTakenOver();
  }

  async #waitForHolder(): Promise<boolean> {
    if (this.#isUnclaimed) {
      await this.#pause(this.#unclaimedMs);
      this.#unclaimedMs = Math.min(UNCLAIMED_MAX_MS, this.#unclaimedMs * 2);
      return true;
    }
    await this.#pause(this.#options.heartbeatMs);
    try {
      return this.#watch.isGone(await this.#own.globalVariable(this.#variable));
    } catch (error) {
      this.#watch.failed();
      throw error;
    }
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
