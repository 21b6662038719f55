import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

type Done = (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void;
/** Finds all addresses of a name, as `dns.lookup` with `all` does. */
export type Resolve = (name: string, options: LookupOptions & { all: true }, done: Done) => void;

/** How many names may be looked up. */
export interface LookupLimits {
  /** At a time; one whose name server is silent takes many seconds. */
  readonly atOnce: number;
  /** How long a name may wait for its turn, ms. */
  readonly waitMs: number;
}

/** A name that is looked up, or waits for its turn, and who wants it. */
interface Wanted {
  readonly look: () => void;
  readonly tell: Done[];
  turn: NodeJS.Timeout | undefined;
}

/**
 * Looks up the names of hosts for `net.connect` and its like. The system's resolver works in a few threads that all of the process
 * shares, and cannot be told to stop: names that come from others, and may have a name server that says nothing, must leave
 * threads for all other names. The same name is looked up once for all who want it at that time.
 */
export class NameLookups {
  readonly #limits: LookupLimits;
  readonly #resolve: Resolve;
  readonly #wanted = new Map<string, Wanted>();
  readonly #queue = new Set<Wanted>();
  #looking = 0;

  constructor(limits: LookupLimits, resolve: Resolve = lookup) {
    this.#limits = limits;
    this.#resolve = resolve;
  }

  /** As `dns.lookup`; an Error with the code `ETIMEOUT` where the name has waited too long for its turn. */
  readonly lookup: LookupFunction = (name, options, done) => {
    this.#want(name, options, (error, found) => {
      const [first] = found;
      if (error !== null || options.all || first === undefined) done(error, found);
      else done(null, first.address, first.family);
    });
  };

  #want(name: string, options: LookupOptions, done: Done): void {
    const { family = 0, hints = 0 } = options;
    const key = `${family} ${hints} ${name}`;
    const known = this.#wanted.get(key);
    if (known !== undefined) return void known.tell.push(done);
    const tell = [done];
    const finish: Done = (error, found) => {
      this.#wanted.delete(key);
      for (const one of tell) one(error, found);
    };
    const look = () => {
      this.#looking += 1;
      this.#resolve(name, { ...options, all: true }, (error, found) => {
        this.#looking -= 1;
        this.#next();
        finish(error, error === null ? found : []);
      });
    };
    const wanted: Wanted = { look, tell, turn: undefined };
    this.#wanted.set(key, wanted);
    if (this.#looking < this.#limits.atOnce) return look();
    this.#queue.add(wanted);
    wanted.turn = setTimeout(() => {
      this.#queue.delete(wanted);
      const why = new Error(`too many names are being looked up: ${name} has waited in vain`);
      finish(Object.assign(why, { code: 'ETIMEOUT' }), []);
    }, this.#limits.waitMs);
  }

  #next(): void {
    const [first] = this.#queue;
    if (first === undefined) return;
    this.#queue.delete(first);
    clearTimeout(first.turn);
    first.look();
  }
}
