/** A line between the bridge and Asterisk's ARI that a test can cut or hold: events, or all. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LOCALHOST, type Ports } from '../stack/ports.ts';

/** What does not go through. */
export interface Cut {
  /** Requests fail as well, and not only the events. */
  requests?: boolean;
  /** The audio of wideband calls is cut as well. */
  media?: boolean;
  /** Asterisk does not learn of it: its end of the events stays open, and nobody reads there. */
  unnoticed?: boolean;
}

interface Pair {
  readonly client: Socket;
  readonly asterisk: Socket;
  readonly kind: Kind;
}

/** Events, the audio of a wideband call, or requests. */
type Kind = 'events' | 'media' | 'requests';

function kindOf(head: string): Kind {
  if (/^GET \/ari\/events[? ]/.test(head)) return 'events';
  return head.startsWith('GET /media/') ? 'media' : 'requests';
}

function isCut(kind: Kind, cut: Cut): boolean {
  return kind === 'events' || (kind === 'media' ? cut.media === true : cut.requests === true);
}

/** Passes TCP connections on to Asterisk. */
export class AriProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #ariPort: number;
  readonly #pairs = new Set<Pair>();
  /** Ends of Asterisk whose other end was cut. */
  readonly #left = new Set<Socket>();
  #cut: Cut | undefined;
  /** What goes on when the line is mended. */
  #held: (() => void)[] = [];
  #isAllHeld = false;

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
      if (!isCut(pair.kind, cut)) continue;
      this.#pairs.delete(pair);
      pair.client.destroy();
      if (pair.kind === 'events' && cut.unnoticed) this.#left.add(pair.asterisk.unpipe().pause());
      else pair.asterisk.destroy();
    }
  }

  /**
   * Nothing is closed, and nothing goes through, until {@link mend}: then what was held comes late.
   * The audio of wideband calls goes on.
   */
  hold(what: 'events' | 'all'): void {
    this.#isAllHeld = what === 'all';
    for (const { client, asterisk, kind } of this.#pairs) {
      if (kind === 'media' || (what === 'events' && kind !== 'events')) continue;
      asterisk.unpipe(client).pause();
      this.#held.push(() => asterisk.pipe(client));
      if (what === 'events') continue;
      client.unpipe(asterisk).pause();
      this.#held.push(() => client.pipe(asterisk));
    }
  }

  /** The audio of wideband calls is cut once: new connections begin. */
  dropMedia(): void {
    for (const { client, asterisk, kind } of this.#pairs)
      if (kind === 'media') for (const socket of [client, asterisk]) socket.destroy();
  }

  /** All goes through again. */
  mend(): void {
    this.#cut = undefined;
    this.#isAllHeld = false;
    for (const goOn of this.#held.splice(0)) goOn();
  }

  /** Asterisk learns at last of the ends that were cut without its notice. */
  noticed(): void {
    for (const socket of this.#left) socket.destroy();
  }

  /** Ends every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cut({ requests: true, media: true });
    this.noticed();
    this.#server.close();
  }

  #connected(client: Socket): void {
    client.on('error', () => client.destroy());
    client.once('data', (first: Buffer) => {
      const kind = kindOf(first.toString('latin1'));
      if (this.#cut !== undefined && isCut(kind, this.#cut)) return client.destroy();
      // A client that has given up meanwhile is served all the same: that is what comes late.
      if (this.#isAllHeld) this.#held.push(() => this.#join(client.pause(), first, kind));
      else this.#join(client, first, kind);
    });
  }

  #join(client: Socket, first: Buffer, kind: Kind): void {
    const asterisk = connect({ port: this.#ariPort, host: LOCALHOST, noDelay: true });
    const pair = { client: client.setNoDelay(), asterisk, kind };
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
