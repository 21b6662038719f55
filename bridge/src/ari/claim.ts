/**
 * A claim: the holder of the Stasis app, which it writes to a global variable of Asterisk. ARI
 * tells a holder that it was replaced. It does not tell by whom, or whether a holder still runs. A
 * claim tells both: it is renewed after each heartbeat that came back through the app, and while
 * one is late.
 */
export interface Claim {
  /** Name of the process. Each process has its own. */
  readonly instance: string;
  /** Number of renewals. */
  readonly beat: number;
  /** Interval of the renewals, ms. */
  readonly everyMs: number;
  /** Where other processes of the bridge reach this one. In the claim of a process's own app. */
  readonly address?: string | undefined;
}

/**
 * Number of equal readings of a claim, one renewal interval apart, after which its holder is gone.
 */
const UNCHANGED_LOOKS_MAX = 4;
/** The same without a claim: its holder may renew it after a restart of Asterisk. */
const ABSENT_LOOKS_MAX = 2;

/** The claim of a process's own app after it has stopped. */
export const ENDED = 'ended';

/** Name of the global variable that holds an app's claim. */
export function claimVariable(app: string): string {
  return `PIPECAT_BRIDGE_${app}`;
}

/** Formats a claim as the variable's value. */
export function formatClaim({ instance, beat, everyMs, address = '' }: Claim): string {
  return `${instance}/${beat}/${everyMs}${address === '' ? '' : `/${address}`}`;
}

/** Parses a claim. Undefined if the value is not one. */
export function parseClaim(text: string): Claim | undefined {
  const [, instance, beat, everyMs, address] =
    /^([\w-]{1,64})\/(\d{1,15})\/(\d{1,6})(?:\/(\d{1,5}:\w{1,128}))?$/.exec(text) ?? [];
  if (instance === undefined) return undefined;
  const claim = { instance, beat: Number(beat), everyMs: Number(everyMs) };
  return address === undefined ? claim : { ...claim, address };
}

/** Decides from readings of the claim whether its holder still runs. */
export class HolderWatch {
  readonly #own: string;
  #last = '';
  #looks = 0;

  /** `own`: the name of this process. */
  constructor(own: string) {
    this.#own = own;
  }

  /** Whether the claim is of another process. */
  isOther(text: string): boolean {
    const claim = parseClaim(text);
    return claim !== undefined && claim.instance !== this.#own;
  }

  /** Asterisk could not be asked, so earlier readings do not count. */
  failed(): void {
    this.#looks = 0;
  }

  /**
   * Takes a reading of the claim, one renewal interval after the last. Returns whether its holder
   * is gone.
   */
  isGone(text: string): boolean {
    this.#looks = text === this.#last ? this.#looks + 1 : 1;
    this.#last = text;
    return this.#looks >= (this.isOther(text) ? UNCHANGED_LOOKS_MAX : ABSENT_LOOKS_MAX);
  }
}
