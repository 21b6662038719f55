import type { Transport } from './media-settings.ts';
/** Checks whether the configured RTP port ranges are large enough. */

/** A port range, both ends included. */
export interface PortRange {
  readonly min: number;
  readonly max: number;
}

/** What to check: the number of calls, and the ranges of Asterisk and the bridge. */
export interface PortNeeds {
  readonly maxCalls: number;
  readonly transport: Transport;
  readonly asterisk: PortRange;
  readonly bridge: PortRange;
}

/** The settings of Asterisk's range, as a warning names them. */
export const ASTERISK_RANGE = 'ASTERISK_RTP_PORT_MIN to ASTERISK_RTP_PORT_MAX';

/**
 * Channels that a range has ports for. Each takes an even port for RTP and the next one for RTCP
 * (RFC 3550 section 11).
 */
export function channelsIn({ min, max }: PortRange): number {
  return Math.max(0, Math.floor(max / 2) - Math.ceil(min / 2) + 1);
}

/**
 * Warnings about ranges that are too small. A call takes one port pair for the caller's channel
 * and, with the RTP transport, one for the media channel. A transfer takes one more.
 */
export function rangeWarnings({ maxCalls, transport, asterisk, bridge }: PortNeeds): string[] {
  const warnings: string[] = [];
  const channels = transport === 'rtp' ? 2 : 1;
  const calls = Math.floor(channelsIn(asterisk) / channels);
  if (calls < maxCalls)
    warnings.push(
      `${ASTERISK_RANGE} have ports for ${calls} calls (${channels * 2} each, and 2 for a transfer), MAX_CALLS is ${maxCalls}: Asterisk refuses the others with 488, and no record tells of them`,
    );
  if (asterisk.min <= bridge.max && bridge.min <= asterisk.max)
    warnings.push(
      `${ASTERISK_RANGE} overlap RTP_PORT_MIN to RTP_PORT_MAX: Asterisk and the bridge take each other's ports`,
    );
  return warnings;
}
