import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import { passOn, sendBack } from './pass-on.ts';
import { isOwners, proveOwner } from './port-proof.ts';
import { sharePort, takeConnections } from './shared-port.ts';

/** What the public port needs. */
export interface PublicPortContext {
  readonly address: string;
  readonly port: number;
  /** Answers a request, if no successor does. */
  readonly answer: RequestListener;
  /** Makes a server of the answers that has the usual limits. */
  readonly limit: (server: Server) => void;
  /** Digest of the Stasis app. Bridges that hand over to each other have the same. */
  readonly app: string;
  /** Secret that these have too: ARI_PASSWORD. */
  readonly key: string;
  /** Called when the port is ours, after another process may have had it. */
  readonly onTaken: () => void;
  readonly log: Logger;
}

/** A port that another process has is tried again after this time. */
const RETRY_MS = 20;
/** The same while its process has not handed over: the port is free only if that process ends. */
const WAIT_MS = 200;
/** A predecessor lets us open the port within this time after it has handed over. */
const BLOCKED_MS = 5_000;
/** New connections go to the successor at once. A handshake that began before has this time. */
const LEAVE_MS = 1_000;
/** An order that comes during a handover waits this long for the successor. */
const ORDER_WAIT_MS = 2_000;
/** When the port closes, requests under way have this time. */
const CLOSE_MS = 1_000;

/**
 * The port of the HTTP interface. It is exclusive, except for a handover: then the successor opens
 * it too, gets all new connections, and this process stops listening. No connection is refused or
 * reset. What still comes on older connections goes to the successor, and each is closed with its
 * next answer.
 */
export class PublicPort {
  readonly #context: PublicPortContext;
  readonly #abort = new AbortController();
  readonly #servers = new Set<Server>();
  #server: Server | undefined;
  #port: number;
  #opening: Promise<void> | undefined;
  /** Our predecessor has handed over. */
  #mayShare = false;
  #isShared = false;
  /** Private port of the process that answers. */
  #successor: number | undefined;
  #successorIsKnown = Promise.withResolvers<void>();
  #handingOverEndMs = 0;
  #leaving: NodeJS.Timeout | undefined;
  /** Since when the port should be ours, and is not, monotonic ms. */
  #blockedMs: number | undefined;
  /** `onTaken` was called for the server that is open. */
  #isTold = true;

  constructor(context: PublicPortContext) {
    this.#context = context;
    this.#port = context.port;
  }

  /** The port, once it was open. */
  get port(): number {
    return this.#port;
  }

  /** Whether another process has had the port for so long that clients do not reach this one. */
  get isBlocked(): boolean {
    return this.#blockedMs !== undefined && performance.now() - this.#blockedMs >= BLOCKED_MS;
  }

  /** The answer to a challenge, if this process itself listens on the port. */
  proof(challenge: unknown): { readonly proof?: string } {
    const proof = this.#server && proveOwner(this.#context, this.#port, challenge);
    return proof === undefined ? {} : { proof };
  }

  /**
   * Opens the port. If it belongs to a bridge that can hand it over, waits for that in the
   * background. Rejects if it belongs to anything else.
   */
  async open(): Promise<void> {
    try {
      await this.#listen(false);
      // A process that had the port may still live, and wait for it.
      this.#isTold = false;
    } catch (error) {
      if (!isInUse(error) || !(await this.#isPredecessors())) throw error;
      this.#context.log.info(
        { port: this.#context.port },
        'another process has the HTTP port, and hands it over',
      );
      this.#openLater();
    }
  }

  /** Our predecessors have handed their calls' app over: now their port is ours. */
  take(): void {
    // Another process had the app, and is gone.
    if (this.#isShared || this.#successor !== undefined) this.resume();
    this.#mayShare = true;
    if (this.#server === undefined) this.#blockedMs ??= performance.now();
    else if (!this.#isTold) this.#context.onTaken();
    this.#isTold = true;
  }

  /** A successor asks for our app: new orders wait for it. */
  handingOver(): void {
    this.#handingOverEndMs = performance.now() + ORDER_WAIT_MS;
  }

  /** A successor has our app, and may have the port. */
  share(): void {
    const server = this.#server;
    this.#blockedMs = undefined;
    if (server === undefined || this.#isShared) return;
    this.#try(() => sharePort(server, true));
    this.#isShared = true;
  }

  /** A successor has opened the port `publicPort`. Returns whether it is ours, which closes. */
  leave(publicPort: number, successor: number): boolean {
    const server = this.#server;
    if (publicPort !== this.port) return false;
    this.#successor = successor;
    this.#successorIsKnown.resolve();
    clearTimeout(this.#leaving);
    this.#blockedMs = undefined;
    if (server !== undefined) this.#leaving = setTimeout(() => this.#stopListening(server), LEAVE_MS);
    return true;
  }

  /** The successor is gone: we answer again. */
  resume(): void {
    this.#successor = undefined;
    this.#successorIsKnown.resolve();
    this.#successorIsKnown = Promise.withResolvers();
    this.#handingOverEndMs = 0;
    clearTimeout(this.#leaving);
    this.#mayShare = false;
    const server = this.#server;
    if (server !== undefined && this.#isShared) this.#try(() => sharePort(server, false));
    this.#isShared = false;
    if (this.#server === undefined) this.#openLater();
  }

  /** Closes the port. Requests under way are answered, for at most 1 s. */
  async close(): Promise<void> {
    this.#abort.abort();
    clearTimeout(this.#leaving);
    await this.#opening;
    const closed = [...this.#servers].map(async (server) => {
      const isClosed = new Promise<void>((resolve) => server.close(() => resolve()));
      const limit = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await isClosed;
      clearTimeout(limit);
    });
    await Promise.all(closed);
  }

  #openLater(): void {
    this.#opening ??= this.#insist().finally(() => {
      this.#opening = undefined;
    });
  }

  /** Never rejects. */
  async #insist(): Promise<void> {
    const { log, onTaken } = this.#context;
    const { signal } = this.#abort;
    let told = '';
    while (!signal.aborted) {
      try {
        await this.#listen(this.#mayShare);
        this.#blockedMs = undefined;
        // It closes again: those that have handed over to us keep what they have.
        if (signal.aborted) return;
        log.info({ port: this.#port }, 'the HTTP port is ours');
        return onTaken();
      } catch (error) {
        const { message } = error as Error;
        if (!isInUse(error) && message !== told)
          log.error({ error: message }, 'the HTTP port cannot be opened');
        told = message;
      }
      await delay(this.#mayShare ? RETRY_MS : WAIT_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #listen(isShared: boolean): Promise<void> {
    const { address: host, limit } = this.#context;
    const port = this.#port;
    const server = createServer((request, response) => void this.#answer(request, response));
    limit(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true, reusePort: isShared }, resolve);
    });
    if (isShared) this.#try(() => takeConnections(server));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    this.#servers.add(server);
  }

  /** A kernel without these options: the port changes hands with a gap, or only when we end. */
  #try(setOption: () => void): void {
    try {
      setOption();
    } catch (error) {
      this.#context.log.warn({ error: (error as Error).message }, 'the HTTP port cannot be handed over');
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#isOrder(request)) await this.#successorOrNone();
    // A client's next connection reaches the successor, also one that took the app unasked and
    // does not know this process.
    const isLast = this.#isShared || this.#successor !== undefined || this.#abort.signal.aborted;
    if (isLast) response.setHeader('connection', 'close');
    if (this.#successor === undefined) this.#context.answer(request, response);
    else if (isListener(request)) sendBack(response);
    else passOn(request, response, this.#successor);
  }

  /** A new call. During a handover we could only refuse it. */
  #isOrder({ method, url = '' }: IncomingMessage): boolean {
    return method === 'POST' && /^\/calls\/?(\?|$)/.test(url);
  }

  async #successorOrNone(): Promise<void> {
    const waitMs = this.#handingOverEndMs - performance.now();
    if (this.#successor !== undefined || waitMs <= 0) return;
    await Promise.race([this.#successorIsKnown.promise, delay(waitMs, undefined, { ref: false })]);
  }

  /** Connections that are open stay: a request may be on its way. */
  #stopListening(server: Server): void {
    NetServer.prototype.close.call(server);
    if (this.#server === server) this.#server = undefined;
    this.#isShared = false;
  }

  /** Whether the process that has the port is a bridge that hands over to us. */
  async #isPredecessors(): Promise<boolean> {
    const { address, port } = this.#context;
    const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '[::1]' : address;
    return await isOwners(this.#context, host, port);
  }
}

function isListener({ method, url = '' }: IncomingMessage): boolean {
  return method === 'GET' && /^\/events\/?(\?|$)/.test(url);
}

function isInUse(error: unknown): boolean {
  return (error as { code?: string }).code === 'EADDRINUSE';
}
