import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A status callback as it came. */
export interface Callback {
  readonly fields: Readonly<Record<string, string>>;
  /** Whether `X-Bridge-Signature` fits body and secret. */
  readonly isSigned: boolean;
}

/** Somebody who placed a call and waits for its status callback. */
export class FakeReceiver {
  readonly callbacks: Callback[] = [];
  /** Statuses of the next replies, then 200. */
  readonly statuses: number[] = [];
  readonly #server: Server;

  private constructor(secret: string) {
    this.#server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
      this.callbacks.push({
        fields: Object.fromEntries(new URLSearchParams(body)),
        isSigned: request.headers['x-bridge-signature'] === signature,
      });
      response.writeHead(this.statuses.shift() ?? 200).end();
    });
  }

  static async start(secret: string): Promise<FakeReceiver> {
    const receiver = new FakeReceiver(secret);
    receiver.#server.listen(0, '127.0.0.1');
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
