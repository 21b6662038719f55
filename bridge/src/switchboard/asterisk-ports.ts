import { ASTERISK_RANGE, channelsIn, type PortRange } from '../config/port-ranges.ts';

/**
 * Without a free RTP port Asterisk refuses a caller with 488 and sends no event. The ports in use
 * are therefore counted here.
 */

/** Channel names with RTP. The bridge's media WebSockets and Local channels have none. */
const HAS_RTP = /^(PJSIP|UnicastRTP)\//;
/** Percent of the port range in use at which a warning is given. */
const NEARLY_ALL = 90;
/** How long a warning stays after Asterisk could not create a media channel. */
const REFUSED_TOLD_MS = 60_000;

/** How many of Asterisk's RTP ports are in use, as of the last comparison. */
export class AsteriskPorts {
  readonly #channelsMax: number;
  #inUse = 0;

  constructor(range: PortRange) {
    this.#channelsMax = channelsIn(range);
  }

  /**
   * Counts Asterisk's RTP channels, by their names. Returns a warning if the range has just become
   * nearly full.
   */
  count(names: readonly string[]): string | undefined {
    const before = this.#nearlyAll;
    this.#inUse = names.filter((name) => HAS_RTP.test(name)).length;
    return before === undefined ? this.#nearlyAll : undefined;
  }

  /**
   * Current warnings. `refusedMs` is when Asterisk last failed to create a media channel, on the
   * same clock as `nowMs`.
   */
  warnings(refusedMs: number | undefined, nowMs: number): string[] {
    const warnings = this.#nearlyAll === undefined ? [] : [this.#nearlyAll];
    if (refusedMs !== undefined && nowMs - refusedMs < REFUSED_TOLD_MS)
      warnings.push(
        `Asterisk could not make a media channel lately: its RTP ports may be used up (${ASTERISK_RANGE})`,
      );
    return warnings;
  }

  get #nearlyAll(): string | undefined {
    if (this.#inUse * 100 < this.#channelsMax * NEARLY_ALL) return undefined;
    return `Asterisk's RTP ports are nearly used up (${this.#inUse} channels of ${this.#channelsMax}, ${ASTERISK_RANGE}): further callers get 488`;
  }
}
