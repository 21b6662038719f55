import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { CallRecord } from '../records/record.ts';
import type { ProcessMetrics } from '../reports/summed-metrics.ts';
import type { ProcessFeed } from './process-feed.ts';
import { isSameSecret } from './secret.ts';

/** What other processes of the bridge may ask of this one. */
export interface ProcessRoutes {
  readonly isFrom: IsFromProcess;
  /** The successor has opened the public port. Its own private port answers from now on. */
  readonly leave: (publicPort: number, privatePort: number) => boolean;
  /** Records of the calls under way. */
  readonly calls: () => readonly CallRecord[];
  readonly metrics: () => Promise<ProcessMetrics>;
  readonly feed: ProcessFeed;
}

const leaveSchema = z.object({ publicPort: z.int(), privatePort: z.int().min(1).max(65_535) });

/** Whether another process of the bridge sends a request. */
export type IsFromProcess = (request: FastifyRequest) => boolean;

/** The routes of `/process`, by which processes of the bridge talk to each other. */
export function addProcessRoutes(server: FastifyInstance, routes: ProcessRoutes): void {
  server.register((scope, _options, registered) => {
    scope.addHook('onRequest', (request, reply, done) => {
      if (routes.isFrom(request)) done();
      // As a route that does not exist: nobody else has any use for it.
      else reply.callNotFound();
    });
    scope.post('/process/leave', (request, reply) => {
      const { publicPort, privatePort } = leaveSchema.parse(request.body);
      return reply.send({ left: routes.leave(publicPort, privatePort) });
    });
    scope.get('/process/calls', (_request, reply) => reply.send(routes.calls()));
    scope.get('/process/metrics', async (_request, reply) => reply.send(await routes.metrics()));
    scope.get('/process/feed', (_request, reply) => {
      reply.hijack();
      routes.feed.serve(reply.raw);
    });
    registered();
  });
}

/**
 * Whether another process of the bridge sends a request: it comes to our private port, and has our
 * secret. The public port knows no such secret, since it is in a global variable of Asterisk.
 */
export function isFromProcess(request: FastifyRequest, privatePort: number, secret: string): boolean {
  if (request.socket.localPort !== privatePort) return false;
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  return given !== undefined && isSameSecret(given, secret);
}
