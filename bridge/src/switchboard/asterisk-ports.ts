import { ASTERISK_RANGE, channelsIn, type PortRange } from '../config/port-ranges.ts';

/** Where Asterisk is out of RTP ports it refuses a caller with 488 by itself, and tells nobody: so its ports are counted here. */

/** Of a channel's name: it has RTP. The bridge's media WebSocket and Local channels have none. */
const HAS_RTP = /^(PJSIP|UnicastRTP)\//;
/** In hundredths of the range: more in use is nearly all. */
const NEARLY_ALL = 90;
/** A media channel that Asterisk could not make is told of for so long. */
const REFUSED_TOLD_MS = 60_000;

/** How many of Asterisk's RTP ports are in use, as the last comparison saw it. */
export class AsteriskPorts {
  readonly #channelsMax: number;
  #inUse = 0;

  constructor(range: PortRange) {
    this.#channelsMax = channelsIn(range);
  }

  /** Counts all channels that Asterisk has, by their names. Returns the warning where there is one that was not there before. */
  saw(names: readonly string[]): string | undefined {
    const before = this.#nearlyAll;
    this.#inUse = names.filter((name) => HAS_RTP.test(name)).length;
    return before === undefined ? this.#nearlyAll : undefined;
  }

  /** What is to be told now; `refusedMs`: when Asterisk last could not make a media channel, on the clock of `nowMs`. */
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
