/** Asterisk's REST interface as the bot's own back end uses it, and as the leak check reads it. */

import { SECRETS } from '../stack/containers.ts';
import { LOCALHOST, type Ports } from '../stack/ports.ts';

/** An originate request, as a back end sends it that dials through ARI. */
export interface Originate {
  /** Number and provider: `123@acme`. */
  to: string;
  /** First app argument: the call's id. */
  callId: string;
  callerId?: string;
  /** Ring time in seconds. */
  timeout?: number;
  variables?: Readonly<Record<string, string>>;
}

/** A thing in Asterisk that has an id: a channel or a bridge. */
export interface Resource {
  id: string;
  name?: string;
}

/** A small client; each request is bounded in time and throws an Error unless answered with 2xx. */
export class Ari {
  #url: string;

  constructor(ports: Ports) {
    this.#url = `http://${LOCALHOST}:${ports.ari}/ari`;
  }

  /** All channels. */
  channels(): Promise<Resource[]> {
    return this.request('GET', '/channels') as Promise<Resource[]>;
  }

  /** All mixing bridges. */
  bridges(): Promise<Resource[]> {
    return this.request('GET', '/bridges') as Promise<Resource[]>;
  }

  /** Places a call for the app `pipecat`; resolves with the channel. */
  originate({ to, callId, callerId, timeout = 20, variables = {} }: Originate): Promise<Resource> {
    const query = new URLSearchParams({
      endpoint: `PJSIP/${to}`,
      app: 'pipecat',
      appArgs: callId,
      timeout: `${timeout}`,
      ...(callerId ? { callerId } : {}),
    });
    return this.request('POST', `/channels?${query}`, { variables }) as Promise<Resource>;
  }

  /** Any request; the answer's JSON, if there is one. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const credentials = Buffer.from(`${SECRETS.ariUsername}:${SECRETS.ariPassword}`).toString('base64');
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { authorization: `Basic ${credentials}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(5000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`ARI ${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }
}
