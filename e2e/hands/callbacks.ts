/** Takes the bridge's status callbacks, as the one who placed the call would. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { LOCALHOST } from '../stack/ports.ts';

/** One callback as it came. */
export interface Callback {
  fields: Record<string, string>;
  body: string;
  contentType?: string;
  signature?: string;
}

/** An HTTP server on loopback that collects callbacks. */
export class CallbackReceiver implements AsyncDisposable {
  readonly received: Callback[] = [];
  readonly #server: Server;
  readonly #waiting: ((callback: Callback) => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on this port, or a free one. */
  static async listen(port = 0): Promise<CallbackReceiver> {
    const server = createServer();
    const receiver = new CallbackReceiver(server);
    server.on('request', async (request, response) => {
      const body = await text(request);
      const { 'content-type': contentType, 'x-bridge-signature': signature } = request.headers;
      const callback: Callback = {
        fields: Object.fromEntries(new URLSearchParams(body)),
        body,
        ...(contentType ? { contentType } : {}),
        ...(signature ? { signature: `${signature}` } : {}),
      };
      receiver.received.push(callback);
      receiver.#waiting.shift()?.(callback);
      response.end();
    });
    server.listen(port, LOCALHOST);
    await once(server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where callbacks go. */
  get url(): string {
    return `http://${LOCALHOST}:${this.port}/status`;
  }

  /** The next callback that comes, or the first when one is there. Throws an Error after 15 s. */
  async next(): Promise<Callback> {
    const [first] = this.received;
    if (first) return first;
    const limit = AbortSignal.timeout(15_000);
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      limit.addEventListener('abort', () => reject(new Error('no callback came within 15 s')), {
        once: true,
      });
    });
  }

  /** Closes the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
