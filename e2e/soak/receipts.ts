/** Takes the status callbacks of the calls that are placed, and refuses them for a time. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { LOCALHOST } from '../stack/ports.ts';

/** An HTTP server on loopback that notes which callback came for which call. */
export class Receipts implements AsyncDisposable {
  /** While true, each callback gets 503. */
  isRefusing = false;
  /** Deliveries by call. All tries of one callback have the same delivery. */
  readonly #deliveries = new Map<string, Set<string>>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens at a free port. */
  static async listen(): Promise<Receipts> {
    const server = createServer();
    const receipts = new Receipts(server);
    server.on('request', async (request, response) => {
      const fields = new URLSearchParams(await text(request));
      if (receipts.isRefusing) return response.writeHead(503).end();
      const id = fields.get('call_id') ?? '';
      const delivery = `${request.headers['x-bridge-delivery']}`;
      receipts.#deliveries.set(id, (receipts.#deliveries.get(id) ?? new Set()).add(delivery));
      return response.end();
    });
    server.listen(0, LOCALHOST);
    await once(server, 'listening');
    return receipts;
  }

  /** Where callbacks go. */
  get url(): string {
    return `http://${LOCALHOST}:${(this.#server.address() as AddressInfo).port}/status`;
  }

  /** How many different callbacks came for a call. */
  of(callId: string): number {
    return this.#deliveries.get(callId)?.size ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
