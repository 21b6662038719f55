import { setTimeout as delay } from 'node:timers/promises';
import { CatchUp } from './catch-up.ts';
import { claimVariable, formatClaim, HolderWatch } from './claim.ts';
import { type AriAccess, AriClient, type AriError } from './client.ts';
import { EventsSocket } from './events.ts';
import { Heartbeat } from './heartbeat.ts';
import { type AriEvent, type ChannelEvent, EVENT_TYPES } from './model.ts';

/** What the owner of the connection is told. */
export interface AriConnectionHandlers {
  /** The app is ours and its events reach us. Where the promise rejects, the connection is made anew. */
  readonly onConnected: () => Promise<void>;
  /** As before, and `onConnected` has done its work: from now on all is well. */
  readonly onReady: () => void;
  /** Events do not reach us; it is tried again. Told again where the problem is another one. */
  readonly onDown: (why: string) => void;
  /** Another process has the app, and with it our calls: let go of them, and touch nothing in Asterisk. */
  readonly onTakenOver: () => void;
  readonly onEvent: (event: ChannelEvent) => void;
  /** An event that could not be read: it is passed over. */
  readonly onUnreadable: (error: Error) => void;
}

/** Settings of the connection. */
export interface AriConnectionOptions {
  /** Name of this process, of letters, digits, `_` and `-`. */
  readonly instance: string;
  readonly heartbeatMs: number;
}

const BACKOFF_MIN_MS = 200;
/** Nobody answers: asked often, since all callers wait for it. */
const BACKOFF_MAX_MS = 1_000;
/** Who took the app says so in its claim within this time. */
const CLAIM_WAIT_MS = 250;
/** Times that the app is taken back within {@link RETAKES_MS} from somebody who makes no claim. */
const RETAKES_MAX = 3;
const RETAKES_MS = 600_000;
/** Pauses before the app is taken back from somebody who makes no claim, and takes it again each time. */
const STRANGER_MIN_MS = 5_000;
const STRANGER_MAX_MS = 60_000;
/** At the end the app's being free is said within this time, or not at all. */
const STOP_MS = 500;

/**
 * The way to Asterisk's events: connects, proves by a heartbeat through the app that they reach us, and connects again. One handshake
 * at a time, and none before Asterisk has answered a ping: a handshake that waits in an Asterisk that stands still would be served
 * later, and then take the app from us.
 *
 * Another process may take the app, and then our calls are its own. By its claim ({@link HolderWatch}) it is known to be there: it is
 * not fought, and the app is taken back when it is gone. Without a claim it was a late handshake of ours, or a stranger: the
 * app is taken back at once, and after a few times in vain with growing pauses.
 */
export class AriConnection {
  /** How often another process took the app from us, and how often we had it again after that. */
  readonly takeovers = { lost: 0, regained: 0 };
  readonly #access: AriAccess;
  readonly #options: AriConnectionOptions;
  readonly #ari: AriClient;
  /** Apart from the calls' requests, behind which a heartbeat would wait. */
  readonly #own: AriClient;
  readonly #handlers: AriConnectionHandlers;
  readonly #abort = new AbortController();
  readonly #watch: HolderWatch;
  readonly #variable: string;
  #socket: EventsSocket | undefined;
  /** Of the connection that there is now. */
  #catchUp: CatchUp | undefined;
  /** Connections so far. */
  #connections = 0;
  /** The event filter of the connection is set, or was refused. */
  #filtered = Promise.resolve();
  #running = Promise.resolve();
  #attempt = 0;
  #problem = '';
  #wasOurs = false;
  #isProved = false;
  #wasReplaced = false;
  #hasLetGo = false;
  /** Another process has taken the app since it was ours last. */
  #isTaken = false;
  /** It was let go to somebody without a claim. */
  #isStranger = false;
  /** When the app was taken from us by somebody without a claim, monotonic ms. */
  #losses: number[] = [];
  #strangerMs = STRANGER_MIN_MS;

  /** `ari`: the calls' client, whose requests are held back while the app may be another's. */
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
  }

  /** Starts to connect, and keeps connected until `stop()`. */
  start(): void {
    this.#running = this.#run();
  }

  /** Closes the connection for good, and says that the app is free. */
  async stop(): Promise<void> {
    this.#abort.abort();
    const isOurs = this.#isProved;
    this.#socket?.close('stopped');
    const freed = isOurs ? this.#own.setGlobalVariable(this.#variable, '').catch(() => {}) : undefined;
    await Promise.race([freed, delay(STOP_MS, undefined, { ref: false })]);
    await this.#own.close();
    await this.#running;
  }

  /**
   * Marks the events of now. What is returned resolves when all events have been heard that Asterisk had told when it was called, of
   * the same connection; it rejects where that has ended, or does not bring them within `ARI_TIMEOUT_MS`.
   */
  caughtUp(): () => Promise<void> {
    const catchUp = this.#catchUp;
    return async () => {
      if (catchUp === undefined) throw new Error('the events of Asterisk do not reach us');
      await catchUp.done();
    };
  }

  /** Drops the connection: it is opened anew, later the more often this happens. */
  reconnect(why: string): void {
    this.#socket?.close(why);
  }

  get #stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#answers();
        // At its first start a process takes the app: its operator wants it so.
        if (this.#wasOurs && !(await this.#isFree())) continue;
        if (this.#stopped) return;
        await this.#connect();
        // Who has taken it is asked for at once.
        if (this.#wasReplaced) continue;
      } catch (error) {
        this.#down((error as Error).message);
      }
      await this.#backOff();
    }
  }

  /** Rejects where Asterisk does not answer. What it answers does not matter: the handshake gets the same, and says why. */
  async #answers(): Promise<void> {
    await this.#own.ping().catch((error: AriError) => {
      if (error.status === 0) throw error;
    });
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
      // The filter of a former process would keep it from us.
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
    // Whoever had the app learns from it that this is no late handshake of its own.
    void this.#claim(0);
    // It only spares work, but that of a former process may keep the heartbeat from us.
    this.#filtered = this.#own.allowEvents(EVENT_TYPES).catch(() => {});
    const proved = this.#filtered.then(() => heartbeat.start());
    // Not before: what enters an app that is not active yet, Asterisk hangs up.
    const connected = proved.then(() => {
      if (this.#socket !== socket) return;
      this.#ari.release();
      return this.#handlers.onConnected();
    });
    connected.then(
      () => {
        // Lost or taken over meanwhile, otherwise.
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
      catchUp.heard(event.eventname);
      return heartbeat.heard(event.eventname);
    }
    if (event.type !== 'ApplicationReplaced') return this.#handlers.onEvent(event);
    this.#wasReplaced = true;
    this.#lost();
    this.#ari.hold();
    this.#socket?.close(`another process has taken over the Stasis app ${this.#access.app}`);
  }

  /** Never rejects: it is done again with the next beat. */
  async #claim(beat: number): Promise<void> {
    if (this.#wasReplaced || this.#stopped) return;
    const { instance, heartbeatMs: everyMs } = this.#options;
    await this.#own
      .setGlobalVariable(this.#variable, formatClaim({ instance, beat, everyMs }))
      .catch(() => {});
  }

  /**
   * Whether the app may be taken: not while another process holds it, which is watched here for one interval. Rejects where Asterisk
   * does not say.
   */
  async #isFree(): Promise<boolean> {
    if (this.#hasLetGo) return await this.#waitForHolder();
    if (this.#wasReplaced) await this.#pause(CLAIM_WAIT_MS * (1 + Math.random()));
    const claim = await this.#own.globalVariable(this.#variable);
    const isOther = this.#watch.isOther(claim);
    if (!isOther && (!this.#wasReplaced || this.#mayTakeBack())) return true;
    this.#isStranger = !isOther;
    this.#letGo();
    return false;
  }

  #mayTakeBack(): boolean {
    const nowMs = performance.now();
    this.#losses = [...this.#losses.filter((lostMs) => nowMs - lostMs < RETAKES_MS), nowMs];
    if (this.#losses.length === 1) this.#strangerMs = STRANGER_MIN_MS;
    return this.#losses.length <= RETAKES_MAX;
  }

  /** Told, or found by a claim after the socket had ended. */
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
    if (this.#isStranger) {
      await this.#pause(this.#strangerMs);
      this.#strangerMs = Math.min(STRANGER_MAX_MS, this.#strangerMs * 2);
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

  /** Once per outage and problem. */
  #down(problem: string): void {
    if (this.#stopped || problem === this.#problem) return;
    this.#problem = problem;
    this.#handlers.onDown(problem);
  }
}
