import type { FastifyReply, FastifyRequest } from 'fastify';
import { fetch } from 'undici';
import type { OtherProcess } from './private-address.ts';

/** A process answers a request about its calls within this time, or it hangs. */
const ANSWER_MS = 6_000;
/** It reads at once. */
const READ_MS = 2_000;

/** The answer of another process. */
export interface ForwardedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What became of a request that was forwarded. */
export type Forwarded =
  | { readonly type: 'answered'; readonly answer: ForwardedAnswer }
  /** No other process has the call. */
  | { readonly type: 'unknown' }
  /** A process that may have the call does not answer. */
  | { readonly type: 'silent' };

/**
 * Forwards a request about a call that is not ours to the process that has it. A process that does
 * not know the call answers 404. Never rejects.
 */
export async function forward(
  request: FastifyRequest,
  others: readonly OtherProcess[],
  authorization: (secret: string) => string,
): Promise<Forwarded> {
  // At once: one that hangs must not delay the answer of the one that has the call.
  const asked = others.map(async ({ address }): Promise<Forwarded> => {
    try {
      const answer = await ask(request, address.port, authorization(address.secret));
      return answer.status === 404 ? { type: 'unknown' } : { type: 'answered', answer };
    } catch {
      return { type: 'silent' };
    }
  });
  const answered = asked.map(async (one) => {
    const found = await one;
    if (found.type !== 'answered') throw new Error(found.type);
    return found;
  });
  return await Promise.any(answered).catch(async () => {
    const all = await Promise.all(asked);
    return { type: all.some(({ type }) => type === 'silent') ? ('silent' as const) : ('unknown' as const) };
  });
}

/** Sends the answer of another process as our own. */
export function sendForwarded(reply: FastifyReply, { status, headers, body }: ForwardedAnswer): FastifyReply {
  return reply
    .code(status)
    .headers(headers)
    .serializer(String as never)
    .send(body);
}

async function ask(request: FastifyRequest, port: number, authorization: string): Promise<ForwardedAnswer> {
  const { method, url, body } = request;
  const type = request.headers['content-type'];
  const response = await fetch(`http://127.0.0.1:${port}${url}`, {
    method,
    headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) },
    ...(body === undefined || body === null ? {} : { body: encode(body, type) }),
    signal: AbortSignal.timeout(method === 'GET' ? READ_MS : ANSWER_MS),
  });
  const kept = ['content-type', 'retry-after'];
  const headers = kept.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { status: response.status, headers: Object.fromEntries(headers), body: await response.text() };
}

/** The body has been parsed. It is written again in its own format. */
function encode(body: unknown, type: string | undefined): string {
  const isForm = type?.startsWith('application/x-www-form-urlencoded') === true;
  return isForm ? new URLSearchParams(body as Record<string, string>).toString() : JSON.stringify(body);
}
