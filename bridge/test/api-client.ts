import type { Lab } from './harness.ts';

export const API_TOKEN = 'api-token-of-the-tests';

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came
  readonly body: any;
}

/** A request to the bridge's API, with its token unless `headers` say otherwise. */
export async function api(
  lab: Lab,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = { authorization: `Bearer ${API_TOKEN}` },
): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${lab.daemon.httpPort}${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

/** One server-sent event. */
export interface SentEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came
  readonly data: any;
}

/** Listens to `GET /events`; `received` grows until `stop`. */
export async function listen(
  lab: Lab,
  lastId?: string,
): Promise<{ received: SentEvent[]; stop: () => void }> {
  const abort = new AbortController();
  const response = await fetch(`http://127.0.0.1:${lab.daemon.httpPort}/events`, {
    headers: {
      authorization: `Bearer ${API_TOKEN}`,
      ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
    },
    signal: abort.signal,
  });
  if (response.status !== 200 || response.body === null) throw new Error(`events: ${response.status}`);
  const received: SentEvent[] = [];
  const read = async (body: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks.filter((each) => !each.startsWith(':'))) received.push(parse(block));
    }
  };
  read(response.body).catch(() => {});
  return { received, stop: () => abort.abort() };
}

function parse(block: string): SentEvent {
  const field = (name: string) =>
    block
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2);
  return { id: field('id'), event: field('event'), data: JSON.parse(field('data') ?? 'null') };
}
