/** Ranges of RTP ports, as the operator set them: whether they suffice. */

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

/** How the settings of Asterisk's range are called. */
export const ASTERISK_RANGE = 'ASTERISK_RTP_PORT_MIN to ASTERISK_RTP_PORT_MAX';

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
      `${ASTERISK_RANGE} have ports for ${calls} calls (${channels * 2} each, and 2 for a transfer), MAX_CALLS is ${maxCalls}: Asterisk refuses the others with 488, and no record tells of them`,
    );
  if (asterisk.min <= bridge.max && bridge.min <= asterisk.max)
    warnings.push(
      `${ASTERISK_RANGE} overlap RTP_PORT_MIN to RTP_PORT_MAX: Asterisk and the bridge take each other's ports`,
    );
  return warnings;
}
