import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { isSameSecret } from './secret.ts';

/** What other processes of the bridge may ask of this one. */
export interface ProcessRoutes {
  /** The secret that other processes know (`private-address.ts`). */
  readonly secret: string;
  /** The successor has opened the public port. Its own private port answers from now on. */
  readonly leave: (publicPort: number, privatePort: number) => boolean;
}

const leaveSchema = z.object({ publicPort: z.int(), privatePort: z.int().min(1).max(65_535) });

/** The routes of `/process`, by which processes of the bridge talk to each other. */
export function addProcessRoutes(server: FastifyInstance, { secret, leave }: ProcessRoutes): void {
  server.register((scope, _options, registered) => {
    scope.addHook('onRequest', (request, reply, done) => {
      const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
      if (given !== undefined && isSameSecret(given, secret)) done();
      // As a route that does not exist: nobody else has any use for it.
      else reply.callNotFound();
    });
    scope.post('/process/leave', (request, reply) => {
      const { publicPort, privatePort } = leaveSchema.parse(request.body);
      return reply.send({ left: leave(publicPort, privatePort) });
    });
    registered();
  });
}
