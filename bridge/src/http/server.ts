import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { appDigest, configDigest, restartDigest } from '../config/digest.ts';
import type { Config } from '../config/environment.ts';
import type { CallControl } from '../control/call-control.ts';
import type { Logger } from '../log.ts';
import type { CallRecord } from '../records/record.ts';
import type { Metrics } from '../reports/metrics.ts';
import { SummedMetrics } from '../reports/summed-metrics.ts';
import type { CallCounts, CallsElsewhere } from '../switchboard/calls-elsewhere.ts';
import { addApi } from './api.ts';
import type { EventStream } from './event-stream.ts';
import { forward } from './forwarding.ts';
import { Guard } from './guard.ts';
import { askProcess, OtherProcesses } from './other-processes.ts';
import { formatAddress } from './private-address.ts';
import { sendError } from './problem.ts';
import { ProcessFeed } from './process-feed.ts';
import { addProcessRoutes, isFromProcess } from './process-routes.ts';
import { PublicPort } from './public-port.ts';
import { addTwilioRest, type TwilioRest } from './twilio-rest.ts';

/** Problems stop the process from taking calls. Warnings do not. Both are empty if all is well. */
export type Readiness = () => { readonly problems: readonly string[]; readonly warnings: readonly string[] };

const BODY_MAX_BYTES = 65_536;
const REQUEST_MS = 10_000;
/** Where the container's health check, and `make up`, find the private port of this process. */
const PORT_FILE = '/run/pipecat-bridge/port';
/** An idle connection is closed after this time. */
const KEEP_ALIVE_MS = 72_000;
const SECRET_BYTES = 32;
/** An id of 128 characters, four bytes each, URL-encoded. */
const PARAMETER_MAX_CHARS = 128 * 12;

/** What the HTTP interface works with. */
export interface HttpContext {
  readonly config: Config;
  /** Id of this process. */
  readonly instance: string;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly hangUp: TwilioRest['hangUp'];
  readonly control: CallControl;
  /** What this process has, and what others have. */
  readonly counts: () => CallCounts;
  readonly elsewhere: CallsElsewhere;
  /** Records of the calls under way. */
  readonly calls: () => readonly CallRecord[];
  readonly events: EventStream;
  readonly log: Logger;
  readonly version: string;
}

/**
 * The HTTP interface: health and metrics (no token), the API, and Twilio's hang-up endpoint. The
 * same is on a port of 127.0.0.1, which stays open after a handover: by it the successor asks.
 */
export class HttpInterface {
  readonly #context: HttpContext;
  readonly #server: FastifyInstance;
  readonly #public: PublicPort;
  readonly #others: OtherProcesses;
  readonly #feed: ProcessFeed;
  readonly #metrics: SummedMetrics;
  readonly #secret = randomBytes(SECRET_BYTES).toString('hex');

  constructor(context: HttpContext) {
    this.#context = context;
    const { config, log, elsewhere, counts } = context;
    this.#metrics = new SummedMetrics(context.metrics.registry);
    this.#others = new OtherProcesses(elsewhere, context.events, this.#metrics);
    this.#feed = new ProcessFeed(counts, context.events);
    this.#server = this.#routes();
    this.#public = new PublicPort({
      address: config.HTTP_ADDRESS,
      port: config.HTTP_PORT,
      key: config.ARI_PASSWORD,
      app: appDigest(config),
      log,
      answer: (request, response) => this.#server.routing(request, response),
      limit: (server) => this.#limit(server),
      onTaken: () => this.#taken(),
    });
  }

  /** The public port. */
  get port(): number {
    return this.#public.port;
  }

  /** Whether another process has had the port for so long that clients do not reach this one. */
  get isBlocked(): boolean {
    return this.#public.isBlocked;
  }

  /** Rejects if the port is in use, but not by a process that hands over to us. */
  async start(): Promise<void> {
    const listenTextResolver = (address: string) =>
      `other processes of the bridge are answered at ${address}`;
    await this.#server.listen({ host: '127.0.0.1', port: 0, listenTextResolver });
    // Outside a container there is no such folder.
    await writeFile(PORT_FILE, `${this.#privatePort}\n`).catch(() => {});
    try {
      await this.#public.open();
    } catch (error) {
      await this.#server.close();
      throw error;
    }
  }

  /** Where other processes of the bridge reach this one. */
  get address(): string {
    return formatAddress({ port: this.#privatePort, secret: this.#secret });
  }

  /** These processes have handed over to us, and live. */
  async predecessors(addresses: ReadonlyMap<string, string>): Promise<void> {
    await this.#others.update(addresses);
  }

  /** Records of the calls that other processes have, for those who ask for calls. */
  get elsewhere(): Pick<OtherProcesses, 'record' | 'records'> {
    return this.#others;
  }

  /** The Stasis app is ours, and with it the public port. */
  take(): void {
    this.#public.take();
  }

  /** A successor asks for the app. */
  handingOver(): void {
    this.#public.handingOver();
  }

  /** A successor has the app, and may take the public port. */
  handedOver(): void {
    this.#public.share();
    this.#others.letGo();
  }

  /** The successor is gone. */
  resume(): void {
    this.#public.resume();
  }

  async close(): Promise<void> {
    this.#others.letGo();
    await this.#feed.finish(() => this.#metrics.forSuccessor());
    await Promise.all([this.#public.close(), this.#server.close()]);
  }

  get #privatePort(): number {
    return (this.#server.server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** The process that had the public port before us stops listening. */
  #taken(): void {
    const body = { publicPort: this.port, privatePort: this.#privatePort };
    for (const other of this.#others.all)
      askProcess(other, 'POST', '/process/leave', body).catch((error: Error) => {
        const { log } = this.#context;
        log.warn({ process: other.instance, error: error.message }, 'a predecessor keeps the HTTP port open');
      });
  }

  /** The successor has opened the public port: those who listen to events connect to it. */
  #leave(publicPort: number, privatePort: number): boolean {
    if (!this.#public.leave(publicPort, privatePort)) return false;
    this.#context.events.leave();
    return true;
  }

  #routes(): FastifyInstance {
    const { config, metrics, readiness, control, events, hangUp, calls, elsewhere, log, version } =
      this.#context;
    const app = appDigest(config);
    const digests = () => ({ configuration: configDigest(config), restart: restartDigest(config), app });
    const ids = { process: this.#context.instance };
    const predecessors = () => ({ processes: elsewhere.processes, calls: elsewhere.calls });
    const server = fastify({
      loggerInstance: log as FastifyBaseLogger,
      logController: new LogController({ disableRequestLogging: true }),
      bodyLimit: BODY_MAX_BYTES,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: PARAMETER_MAX_CHARS },
    });
    // A successor asks whether the port is a bridge's that it may take (`port-proof.ts`).
    server.get('/livez', (request) => ({
      status: 'live',
      ...digests(),
      ...ids,
      predecessors: predecessors(),
      ...this.#public.proof((request.query as { challenge?: unknown }).challenge),
    }));
    server.get('/readyz', (_request, reply) => {
      const { problems, warnings } = readiness();
      return reply.code(problems.length === 0 ? 200 : 503).send({
        status: problems.length === 0 ? 'ready' : 'not ready',
        problems,
        warnings,
        predecessors: predecessors(),
      });
    });
    server.get('/metrics', async (_request, reply) => {
      return reply
        .type(metrics.registry.contentType)
        .send(await this.#metrics.text(await this.#others.metrics()));
    });
    // For all routes: an error is logged with the request id that the response shows.
    server.setErrorHandler(sendError);
    const guard = new Guard(
      () => config.API_REQUESTS_PER_SECOND,
      (route) => metrics.unauthorized(route),
    );
    const twilio = {
      get token() {
        return config.BOT_TOKEN ?? config.API_TOKEN;
      },
      hangUp,
      forward: (request: FastifyRequest, accountSid: string) =>
        forward(request, this.#others.all, (secret) => `Basic ${btoa(`${accountSid}:${secret}`)}`),
      processSecret: (request: FastifyRequest) =>
        request.socket.localPort === this.#privatePort ? this.#secret : undefined,
    };
    addTwilioRest(server, twilio, guard);
    const isFrom = (request: FastifyRequest) => isFromProcess(request, this.#privatePort, this.#secret);
    addProcessRoutes(server, {
      isFrom,
      leave: (publicPort, privatePort) => this.#leave(publicPort, privatePort),
      calls,
      metrics: () => this.#metrics.forSuccessor(),
      feed: this.#feed,
    });
    const processes = {
      isFrom,
      forward: (request: FastifyRequest) =>
        forward(request, this.#others.all, (secret) => `Bearer ${secret}`),
    };
    addApi(server, { control, events, config, version, processes }, guard);
    return server;
  }

  /** Gives a server the limits that Fastify gives its own. */
  #limit(server: Server): void {
    server.requestTimeout = REQUEST_MS;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    const { server: own } = this.#server;
    for (const listener of own.listeners('clientError')) server.on('clientError', listener as () => void);
  }
}

/** Starts the HTTP interface. Rejects if the port is in use. */
export async function startHttp(context: HttpContext): Promise<HttpInterface> {
  const http = new HttpInterface(context);
  await http.start();
  return http;
}
