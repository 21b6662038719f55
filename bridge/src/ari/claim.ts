/**
 * Who holds the Stasis app, as its holder says it in a global variable of Asterisk. ARI tells the holder of an app that it was
 * replaced, but not by whom, and not whether a holder is still there. A claim tells both: it is renewed with each heartbeat that
 * came back through the app.
 */
export interface Claim {
  /** The process: a new one has a new name. */
  readonly instance: string;
  /** Counts the renewals. */
  readonly beat: number;
  /** How often it is renewed. */
  readonly everyMs: number;
}

/** Looks at a claim, one renewal apart, in which it must have changed, or its holder is gone. */
const UNCHANGED_LOOKS_MAX = 4;
/** Looks at an absent claim: its holder may be about to renew it after a restart of Asterisk. */
const ABSENT_LOOKS_MAX = 2;

/** Name of the global variable that holds an app's claim. */
export function claimVariable(app: string): string {
  return `PIPECAT_BRIDGE_${app}`;
}

/** The variable's value for a claim. */
export function formatClaim({ instance, beat, everyMs }: Claim): string {
  return `${instance}/${beat}/${everyMs}`;
}

/** Reads a claim; undefined where the value is none. */
export function parseClaim(text: string): Claim | undefined {
  const [, instance, beat, everyMs] = /^([\w-]{1,64})\/(\d{1,15})\/(\d{1,6})$/.exec(text) ?? [];
  return instance === undefined ? undefined : { instance, beat: Number(beat), everyMs: Number(everyMs) };
}

/** Tells a holder that is there from one that is gone, by looks at its claim. */
export class HolderWatch {
  readonly #own: string;
  #last = '';
  #looks = 0;

  /** `own`: the instance that looks. */
  constructor(own: string) {
    this.#own = own;
  }

  /** Whether the claim is another's. */
  isOther(text: string): boolean {
    const claim = parseClaim(text);
    return claim !== undefined && claim.instance !== this.#own;
  }

  /** Asterisk could not be asked: what was seen before says nothing now. */
  failed(): void {
    this.#looks = 0;
  }

  /** A look at the claim, one renewal after the last look. Returns whether its holder is gone. */
  isGone(text: string): boolean {
    this.#looks = text === this.#last ? this.#looks + 1 : 1;
    this.#last = text;
    return this.#looks >= (this.isOther(text) ? UNCHANGED_LOOKS_MAX : ABSENT_LOOKS_MAX);
  }
}
