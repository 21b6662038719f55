/** The bridge's HTTP API, as whoever places calls uses it. */

import { SECRETS } from '../stack/containers.ts';
import { LOCALHOST, type Ports } from '../stack/ports.ts';

const LIMIT_MS = 10_000;

/** A call as the API shows it; the bridge's own tests look at the rest. */
export interface ApiCall {
  callId: string;
  channelId: string;
  state: string;
  outcome?: string;
  cause?: number;
  sipStatus?: number;
  endReason?: string;
  times: Record<string, string>;
}

/** One server-sent event. */
export interface CallEvent {
  type: string;
  at: string;
  call: ApiCall;
}

/** A small client with the API's token. */
export class BridgeApi {
  #url: string;
  #headers = { authorization: `Bearer ${SECRETS.apiToken}` };

  constructor(ports: Ports) {
    this.#url = `http://${LOCALHOST}:${ports.http}`;
  }

  /** Status and JSON of any request. */
  async request(method: string, path: string, body?: unknown): Promise<{ status: number; body: ApiCall }> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { ...this.#headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    return { status: response.status, body: (await response.json()) as ApiCall };
  }

  /**
   * All events of one call from now on. The stream ends with the call, or throws an Error after 30
   * s.
   */
  async follow(callId: string): Promise<{ events: Promise<CallEvent[]> }> {
    const response = await fetch(`${this.#url}/events`, {
      headers: this.#headers,
      signal: AbortSignal.timeout(30_000),
    });
    if (!response.ok || !response.body) throw new Error(`events: ${response.status}`);
    const events = collect(response.body, callId);
    events.catch(() => undefined);
    return { events };
  }
}

async function collect(stream: ReadableStream<Uint8Array>, callId: string): Promise<CallEvent[]> {
  const events: CallEvent[] = [];
  let text = '';
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      const event = JSON.parse(data) as CallEvent;
      if (event.call.callId === callId) events.push(event);
      if (event.call.callId === callId && event.type === 'call.ended') return events;
    }
  }
  throw new Error('the events ended before the call');
}
