import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import type { Config } from '../config/environment.ts';
import type { CallControl } from '../control/call-control.ts';
import { callOrderSchema, listQuery } from '../control/orders.ts';
import { shownRecord } from '../records/record.ts';
import type { EventStream } from './event-stream.ts';
import { type Forwarded, sendForwarded } from './forwarding.ts';
import type { Guard } from './guard.ts';
import { sendError, sendProblem } from './problem.ts';
import * as schemas from './schemas.ts';
import { isSameSecret } from './secret.ts';

/** What the API works with. */
export interface ApiContext {
  readonly control: CallControl;
  readonly events: EventStream;
  /** Tokens and rate are read at each request: a reload may change them. */
  readonly config: Pick<Config, 'API_TOKEN' | 'BOT_TOKEN' | 'API_REQUESTS_PER_SECOND'>;
  readonly version: string;
  readonly processes: ApiProcesses;
}

/** Other processes of the bridge, which have calls too. */
export interface ApiProcesses {
  /** Whether another process sends a request. */
  readonly isFrom: (request: FastifyRequest) => boolean;
  /** Sends a request to the process that has its call. */
  readonly forward: (request: FastifyRequest) => Promise<Forwarded>;
}

const SECURITY = { bearer: { type: 'http', scheme: 'bearer' } } as const;
const ABOUT = 'Calls between a telephone and a voice AI: place, watch, move and end them.';
const failure = {
  description: 'What is wrong (RFC 9457)',
  content: { 'application/problem+json': { schema: schemas.problemSchema } },
};

/**
 * The API for operators of calls (docs/API.md). It has a Fastify scope of its own: health and
 * metrics need no token.
 */
export function addApi(server: FastifyInstance, context: ApiContext, guard: Guard): void {
  server.register((scope, _options, registered) => {
    scope.setValidatorCompiler(validatorCompiler);
    scope.setSerializerCompiler(serializerCompiler);
    scope.setErrorHandler(sendError);
    const allowList = (request: FastifyRequest) => context.processes.isFrom(request);
    const max = () => context.config.API_REQUESTS_PER_SECOND;
    scope.register(rateLimit, {
      global: false,
      max,
      timeWindow: 1_000,
      keyGenerator: () => 'everybody',
      allowList,
    });
    scope.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: { title: 'pipecat-bridge', version: context.version, description: ABOUT },
        components: { securitySchemes: SECURITY },
        security: [{ bearer: [] }],
      },
      transform: jsonSchemaTransform,
      transformObject: jsonSchemaTransformObject,
    });
    scope.after(() => {
      // The rate limit counts authorized requests only: token guesses must not use it up.
      scope.addHook('onRequest', (request, reply, done) => {
        if (isAuthorized(request, reply, context, guard)) done();
      });
      scope.addHook('onRequest', scope.rateLimit());
      scope.addHook(
        'preValidation',
        async (request, reply) => await answeredElsewhere(request, reply, context),
      );
      const routes = scope.withTypeProvider<ZodTypeProvider>();
      addCalls(routes, context);
      addActions(routes, context);
      addStreams(routes, context);
    });
    registered();
  });
}

type Routes = ReturnType<typeof withZod>;
const withZod = (server: FastifyInstance) => server.withTypeProvider<ZodTypeProvider>();

function addCalls(routes: Routes, { control }: ApiContext): void {
  const { callPageSchema, callParams, callSchema } = schemas;
  routes.post(
    '/calls',
    {
      schema: {
        operationId: 'placeCall',
        summary: 'Place a call',
        body: callOrderSchema,
        response: {
          200: callSchema.describe('The call of this callId, placed before'),
          202: callSchema.describe('The call, which is being dialled'),
          default: failure,
        },
      },
    },
    async (request, reply) => {
      const { record, isNew } = await control.place(request.body);
      return reply.code(isNew ? 202 : 200).send(shownRecord(record));
    },
  );
  routes.get(
    '/calls',
    {
      schema: {
        operationId: 'listCalls',
        summary: 'Calls under way and ended, newest first',
        querystring: listQuery,
        response: { 200: callPageSchema, default: failure },
      },
    },
    async (request) => {
      const page = await control.list(request.query);
      return { ...page, calls: page.calls.map(shownRecord) };
    },
  );
  routes.get(
    '/calls/:id',
    {
      schema: {
        operationId: 'getCall',
        summary: 'One call',
        params: callParams,
        response: { 200: callSchema, default: failure },
      },
    },
    async (request) => shownRecord(await control.get(request.params.id)),
  );
  routes.delete(
    '/calls/:id',
    {
      schema: {
        operationId: 'hangUpCall',
        summary: 'Hang up, also while it rings; one that has ended stays as it is',
        params: callParams,
        response: {
          200: callSchema.describe('The call, which had ended'),
          202: callSchema.describe('The call, which is being ended'),
          default: failure,
        },
      },
    },
    async (request, reply) => {
      const record = await control.hangUp(request.params.id);
      return reply.code(record.state === 'closed' ? 200 : 202).send(shownRecord(record));
    },
  );
}

function addActions(routes: Routes, { control }: ApiContext): void {
  const { callParams, callSchema, dtmfSchema, recordingSchema, recordingStateSchema, transferSchema } =
    schemas;
  routes.post(
    '/calls/:id/dtmf',
    {
      schema: {
        operationId: 'sendDigits',
        summary: 'Send keys to the caller',
        params: callParams,
        body: dtmfSchema,
        response: { 202: callSchema, default: failure },
      },
    },
    async (request, reply) =>
      reply.code(202).send(shownRecord(control.dtmf(request.params.id, request.body.digits))),
  );
  routes.post(
    '/calls/:id/transfer',
    {
      schema: {
        operationId: 'transferCall',
        summary: 'Transfer the caller; GET /events tells how it goes',
        params: callParams,
        body: transferSchema,
        response: { 202: callSchema, default: failure },
      },
    },
    async (request, reply) =>
      reply.code(202).send(shownRecord(control.transfer(request.params.id, request.body))),
  );
  routes.post(
    '/calls/:id/recording',
    {
      schema: {
        operationId: 'setRecording',
        summary: 'Pause or resume the recording',
        params: callParams,
        body: recordingSchema,
        response: { 200: recordingStateSchema, default: failure },
      },
    },
    async (request) => ({ state: await control.recording(request.params.id, request.body.state) }),
  );
}

function addStreams(routes: Routes, { events }: ApiContext): void {
  const { eventsHeaders } = schemas;
  routes.get(
    '/events',
    {
      schema: {
        operationId: 'streamEvents',
        summary: 'Every change of a call, as server-sent events',
        headers: eventsHeaders,
        response: {
          200: {
            description:
              'Events call.dialling, call.ringing, call.started, call.answered … call.ended; `data` is Event',
            content: { 'text/event-stream': { schema: schemas.eventSchema } },
          },
          default: failure,
        },
      },
      preHandler: (_request, reply, done) => {
        if (events.hasRoom) done();
        else sendProblem(reply, 429, 'too many listen to events already');
      },
    },
    (request, reply) => {
      reply.hijack();
      events.serve(reply.raw, request.headers['last-event-id']);
    },
  );
  routes.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => reply.send(routes.swagger()));
}

function isAuthorized(
  request: FastifyRequest,
  reply: FastifyReply,
  { config: { API_TOKEN: token, BOT_TOKEN: botToken }, processes }: ApiContext,
  guard: Guard,
): boolean {
  if (processes.isFrom(request)) return true;
  if (token === undefined) {
    sendProblem(reply, 503, 'the API is off: API_TOKEN is not set');
    return false;
  }
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (given !== undefined && isSameSecret(given, token)) return true;
  if (given !== undefined && botToken !== undefined && isSameSecret(given, botToken)) {
    sendProblem(reply, 403, 'BOT_TOKEN may hang up by the Twilio route only; the API takes API_TOKEN');
    return false;
  }
  const retryAfterS = guard.refused(request, 'api');
  if (retryAfterS > 0) {
    reply.header('retry-after', retryAfterS);
    sendProblem(reply, 429, 'too many requests without a right token came from this address');
    return false;
  }
  reply.header('www-authenticate', 'Bearer realm="pipecat-bridge"');
  sendProblem(reply, 401, 'the header Authorization: Bearer TOKEN is missing or wrong; TOKEN is API_TOKEN');
  return false;
}

/**
 * Answers a request about a call that another process has: every route with a call's id. Returns
 * undefined if the request is ours to answer.
 */
async function answeredElsewhere(
  request: FastifyRequest,
  reply: FastifyReply,
  { control, processes }: ApiContext,
): Promise<FastifyReply | undefined> {
  const { id } = request.params as { readonly id?: string };
  if (id === undefined || processes.isFrom(request) || (await control.has(id))) return undefined;
  const forwarded = await processes.forward(request);
  if (forwarded.type === 'answered') return sendForwarded(reply, forwarded.answer);
  if (forwarded.type === 'unknown' || request.method === 'GET' || (await control.hasEnded(id)))
    return undefined;
  return sendProblem(reply, 504, 'the process of the bridge that may have the call does not answer');
}
