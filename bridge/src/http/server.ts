import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify';
import type { Logger } from '../log.ts';
import type { Metrics } from '../reports/metrics.ts';
import { type ApiContext, addApi } from './api.ts';
import { Guard } from './guard.ts';
import { sendError } from './problem.ts';
import { addTwilioRest, type TwilioRest } from './twilio-rest.ts';

/** Problems stop the process from taking calls. Warnings do not. Both are empty if all is well. */
export type Readiness = () => { readonly problems: readonly string[]; readonly warnings: readonly string[] };

const BODY_MAX_BYTES = 65_536;
const REQUEST_MS = 10_000;
/** An id of 128 characters, four bytes each, URL-encoded. */
const PARAMETER_MAX_CHARS = 128 * 12;

/** Settings of the HTTP interface. */
export interface HttpSettings {
  readonly address: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  /** Digests of the configuration that this process runs with (`config/digest.ts`). */
  readonly digests: () => { readonly configuration: string; readonly restart: string };
  readonly twilio: TwilioRest;
  readonly log: Logger;
  readonly api: ApiContext;
}

/**
 * Starts the HTTP interface: health and metrics (no token), the API, and Twilio's hang-up endpoint.
 * Rejects if the port is in use.
 */
export async function startHttp(settings: HttpSettings): Promise<FastifyInstance> {
  const { address, port, metrics, readiness, digests, twilio, api, log } = settings;
  const server = fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: PARAMETER_MAX_CHARS },
  });
  server.get('/livez', () => ({ status: 'live', ...digests() }));
  server.get('/readyz', (_request, reply) => {
    const { problems, warnings } = readiness();
    return reply
      .code(problems.length === 0 ? 200 : 503)
      .send({ status: problems.length === 0 ? 'ready' : 'not ready', problems, warnings });
  });
  server.get('/metrics', async (_request, reply) => {
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  // For all routes: an error is logged with the request id that the response shows.
  server.setErrorHandler(sendError);
  const guard = new Guard(
    () => api.requestsPerSecond,
    (route) => metrics.unauthorized(route),
  );
  addTwilioRest(server, twilio, guard);
  addApi(server, api, guard);
  await server.listen({ host: address, port });
  return server;
}
