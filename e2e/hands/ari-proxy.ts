/** A line between the bridge and Asterisk's ARI that a test can cut: events, or everything. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LOCALHOST, type Ports } from '../stack/ports.ts';

/** What does not go through. */
export interface Cut {
  /** Requests fail as well, and not only the events. */
  requests?: boolean;
  /** Asterisk does not learn of it: its end of the events stays open, and nobody reads there. */
  unnoticed?: boolean;
}

interface Pair {
  readonly client: Socket;
  readonly asterisk: Socket;
  readonly isEvents: boolean;
}

const EVENTS = /^GET \/ari\/events[? ]/;

/** Passes TCP connections on to Asterisk. */
export class AriProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #ariPort: number;
  readonly #pairs = new Set<Pair>();
  /** Ends of Asterisk whose other end was cut. */
  readonly #left = new Set<Socket>();
  #cut: Cut | undefined;

  private constructor(ariPort: number) {
    this.#ariPort = ariPort;
    this.#server = createServer((client) => this.#connected(client));
  }

  /** Listens at a free port of loopback. */
  static async listen({ ari }: Ports): Promise<AriProxy> {
    const proxy = new AriProxy(ari);
    proxy.#server.listen(0, LOCALHOST);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** What the bridge is given as `ARI_URL`. */
  get url(): string {
    const address = this.#server.address();
    return `http://${LOCALHOST}:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  /** Connections end, and no new one begins until {@link mend}. */
  cut(cut: Cut = {}): void {
    this.#cut = cut;
    for (const pair of [...this.#pairs]) {
      if (!pair.isEvents && !cut.requests) continue;
      this.#pairs.delete(pair);
      pair.client.destroy();
      if (pair.isEvents && cut.unnoticed) this.#left.add(pair.asterisk.unpipe().pause());
      else pair.asterisk.destroy();
    }
  }

  /** All goes through again. */
  mend(): void {
    this.#cut = undefined;
  }

  /** Ends every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cut({ requests: true });
    for (const socket of this.#left) socket.destroy();
    this.#server.close();
  }

  #connected(client: Socket): void {
    client.on('error', () => client.destroy());
    client.once('data', (first: Buffer) => {
      const isEvents = EVENTS.test(first.toString('latin1'));
      if (this.#cut !== undefined && (isEvents || this.#cut.requests)) return client.destroy();
      this.#join(client, first, isEvents);
    });
  }

  #join(client: Socket, first: Buffer, isEvents: boolean): void {
    const asterisk = connect({ port: this.#ariPort, host: LOCALHOST, noDelay: true });
    const pair = { client: client.setNoDelay(), asterisk, isEvents };
    this.#pairs.add(pair);
    asterisk.on('error', () => asterisk.destroy());
    asterisk.on('close', () => {
      this.#left.delete(asterisk);
      if (this.#pairs.delete(pair)) client.destroy();
    });
    client.on('close', () => {
      if (this.#pairs.delete(pair)) asterisk.destroy();
    });
    asterisk.write(first);
    client.pipe(asterisk);
    asterisk.pipe(client);
  }
}
