import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { RequestRefused } from '../control/request-refused.ts';
import type { FieldError, ProblemBody } from './schemas.ts';

/** Sends a problem (RFC 9457) without a type of its own. Its title is the HTTP status text. */
export function sendProblem(
  reply: FastifyReply,
  status: number,
  detail: string,
  errors?: readonly FieldError[],
): FastifyReply {
  const problem: ProblemBody = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    ...(errors === undefined ? {} : { errors: [...errors] }),
  };
  // Serialized without the route's schema: errors have the same shape on every route.
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer(JSON.stringify as never)
    .send(problem);
}

/**
 * Sends the problem for an error: invalid fields, the reason of a refusal, or an internal error.
 */
export function sendError(
  error: FastifyError | RequestRefused,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (isRequestRefused(error)) {
    if (error.retryAfterS !== undefined) reply.header('retry-after', error.retryAfterS);
    const errors = error.field === undefined ? undefined : [{ field: error.field, reason: error.message }];
    return sendProblem(reply, error.status, error.message, errors);
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map(({ instancePath, message, params }) => {
      const unknown = (params as { keys?: string[] }).keys;
      const path = instancePath.split('/').filter((part) => part !== '');
      return { field: [...path, ...(unknown ?? [])].join('.'), reason: message ?? 'is invalid' };
    });
    return sendProblem(
      reply,
      422,
      errors.map(({ field, reason }) => `${field}: ${reason}`).join('; '),
      errors,
    );
  }
  const status = error.statusCode ?? 500;
  if (status < 500) return sendProblem(reply, status, error.message);
  const { id, method, routeOptions } = request;
  const route = `${method} ${routeOptions.url ?? ''}`;
  request.log.error({ err: error, route, requestId: id }, 'request failed');
  return sendProblem(reply, status, `the bridge failed; its log says how, under requestId ${id}`);
}

function isRequestRefused(error: FastifyError | RequestRefused): error is RequestRefused {
  return error instanceof RequestRefused;
}
