import { type FastifyInstance, fastify } from 'fastify';
import type { Metrics } from './metrics.ts';
import { addTwilioRest, type TwilioRest } from './twilio-rest.ts';

/** Says what keeps the process from taking calls, and what else is wrong but keeps no call out; empty when nothing does. */
export type Readiness = () => { readonly problems: readonly string[]; readonly warnings: readonly string[] };

const BODY_MAX_BYTES = 65_536;
const REQUEST_MS = 10_000;

/** The HTTP interface: health and metrics, without a token (contract, section 3), and Twilio's way to hang up. Rejects when the port is taken. */
export async function startHttp(
  address: string,
  port: number,
  metrics: Metrics,
  readiness: Readiness,
  twilio: TwilioRest,
): Promise<FastifyInstance> {
  const server = fastify({
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
  });
  server.get('/livez', () => ({ status: 'live' }));
  server.get('/readyz', (_request, reply) => {
    const { problems, warnings } = readiness();
    return reply
      .code(problems.length === 0 ? 200 : 503)
      .send({ status: problems.length === 0 ? 'ready' : 'not ready', problems, warnings });
  });
  server.get('/metrics', async (_request, reply) => {
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  addTwilioRest(server, twilio);
  await server.listen({ host: address, port });
  return server;
}
