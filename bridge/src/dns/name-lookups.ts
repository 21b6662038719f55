import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

type Done = (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void;
/** Finds all addresses of a name, like `dns.lookup` with `all`. */
export type Resolve = (name: string, options: LookupOptions & { all: true }, done: Done) => void;

/** Limits of look-ups. */
export interface LookupLimits {
  /** Look-ups at a time. One takes many seconds if the name server does not answer. */
  readonly atOnce: number;
  /** How long a name may wait in the queue, ms. */
  readonly waitMs: number;
}

/** A name that is looked up or queued, and the callbacks that wait for it. */
interface Wanted {
  readonly look: () => void;
  readonly tell: Done[];
  turn: NodeJS.Timeout | undefined;
}

/**
 * Looks up host names for `net.connect` and similar functions. The system's resolver runs in a
 * small thread pool that the whole process shares, and a look-up cannot be cancelled. Names that
 * others choose may have a name server that does not answer. Their look-ups are limited, so that
 * threads remain for all other names. Concurrent look-ups of one name are one look-up.
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

  /** Like `dns.lookup`. Fails with the code `ETIMEOUT` if the name was queued for too long. */
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
      for (const callback of tell) callback(error, found);
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
      const why = new Error(`too many names are being looked up: ${name} was not looked up in time`);
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
