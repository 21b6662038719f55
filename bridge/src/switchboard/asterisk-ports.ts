/** Where Asterisk is out of RTP ports it refuses a caller with 488 by itself, and tells nobody: so its ports are counted here. */

/** Ports of a range, both ends in it. */
export interface PortRange {
  readonly min: number;
  readonly max: number;
}

/** What is asked for: how many calls, and the ranges of Asterisk and the bridge. */
export interface PortNeeds {
  readonly maxCalls: number;
  readonly transport: 'rtp' | 'websocket';
  readonly asterisk: PortRange;
  readonly bridge: PortRange;
}

/** Of a channel's name: it has RTP. The bridge's media WebSocket and Local channels have none. */
const HAS_RTP = /^(PJSIP|UnicastRTP)\//;
/** In hundredths of the range: more in use is nearly all. */
const NEARLY_ALL = 90;
/** A media channel that Asterisk could not make is told of for so long. */
const REFUSED_TOLD_MS = 60_000;
const NAMES = 'ASTERISK_RTP_PORT_MIN to ASTERISK_RTP_PORT_MAX';

/** Channels that a range has ports for: each takes an even one for RTP and the next for RTCP (RFC 3550 section 11). */
export function channelsIn({ min, max }: PortRange): number {
  return Math.max(0, Math.floor(max / 2) - Math.ceil(min / 2) + 1);
}

/** What is wrong with the ranges: a call takes the caller's channel and, by RTP, the media channel; a transfer one more. */
export function rangeWarnings({ maxCalls, transport, asterisk, bridge }: PortNeeds): string[] {
  const warnings: string[] = [];
  const channels = transport === 'rtp' ? 2 : 1;
  const calls = Math.floor(channelsIn(asterisk) / channels);
  if (calls < maxCalls)
    warnings.push(
      `${NAMES} have ports for ${calls} calls (${channels * 2} each, and 2 for a transfer), MAX_CALLS is ${maxCalls}: Asterisk refuses the others with 488, and no record tells of them`,
    );
  if (asterisk.min <= bridge.max && bridge.min <= asterisk.max)
    warnings.push(
      `${NAMES} overlap RTP_PORT_MIN to RTP_PORT_MAX: Asterisk and the bridge take each other's ports`,
    );
  return warnings;
}

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
        `Asterisk could not make a media channel lately: its RTP ports may be used up (${NAMES})`,
      );
    return warnings;
  }

  get #nearlyAll(): string | undefined {
    if (this.#inUse * 100 < this.#channelsMax * NEARLY_ALL) return undefined;
    return `Asterisk's RTP ports are nearly used up (${this.#inUse} channels of ${this.#channelsMax}, ${NAMES}): further callers get 488`;
  }
}
