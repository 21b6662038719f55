import type { IncomingMessage } from 'node:http';

/** A request that reached the fake. */
export interface AriRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

/** A reply by a hook instead of the fake's own: a status, or no reply at all. */
export type HookReply = number | 'never' | undefined;
/** What a test does with a request. */
export type Hook = (request: AriRequest) => HookReply | Promise<HookReply>;

/** What the fake answers. */
export interface Reply {
  readonly status: number;
  readonly body?: unknown;
}

/** A hook, and the requests (`METHOD /path`) that it is for. */
export interface Hooked {
  readonly pattern: RegExp;
  readonly hook: Hook;
}

export const NO_CONTENT: Reply = { status: 204 };
export const refused = (status: number, message: string): Reply => ({ status, body: { message } });

/** Reads a request whole. */
export async function readRequest(incoming: IncomingMessage): Promise<AriRequest> {
  let text = '';
  for await (const chunk of incoming) text += chunk;
  const url = new URL(incoming.url ?? '', 'http://fake');
  return {
    method: incoming.method ?? '',
    path: decodeURIComponent(url.pathname).replace(/^\/ari/, ''),
    query: url.searchParams,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

/** The first reply that a hook gives to a request. */
export async function hooked(
  hooks: readonly Hooked[],
  line: string,
  request: AriRequest,
): Promise<HookReply> {
  for (const { pattern, hook } of hooks) {
    const reply = pattern.test(line) ? await hook(request) : undefined;
    if (reply !== undefined) return reply;
  }
  return undefined;
}

/** Whether a request has the credentials (RFC 7617). */
export function isAllowed({ headers }: IncomingMessage, username: string, password: string): boolean {
  return headers.authorization === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
