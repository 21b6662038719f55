import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A status callback as it came. */
export interface Callback {
  readonly fields: Readonly<Record<string, string>>;
  /** Whether both signatures fit body, time and secret. */
  readonly isSigned: boolean;
}

/** Somebody who placed a call and waits for its status callback. */
export class FakeReceiver {
  readonly callbacks: Callback[] = [];
  /** `X-Bridge-Delivery` of each. */
  readonly deliveries: string[] = [];
  /** Statuses of the next replies, then 200. */
  readonly statuses: number[] = [];
  readonly #server: Server;

  private constructor(secret: string) {
    this.#server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const sign = (text: string) => `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
      const { headers } = request;
      const timestamp = String(headers['x-bridge-timestamp']);
      const isNow = Math.abs(Number(timestamp) - Date.now() / 1000) < 60;
      this.deliveries.push(String(headers['x-bridge-delivery']));
      this.callbacks.push({
        fields: Object.fromEntries(new URLSearchParams(body)),
        isSigned:
          headers['x-bridge-signature'] === sign(body) &&
          headers['x-bridge-signature-timed'] === sign(`${timestamp}.${body}`) &&
          isNow,
      });
      response.writeHead(this.statuses.shift() ?? 200).end();
    });
  }

  static async start(secret: string, port = 0): Promise<FakeReceiver> {
    const receiver = new FakeReceiver(secret);
    // Whatever becomes of the test, its process ends.
    receiver.#server.listen(port, '127.0.0.1').unref();
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/status`;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
