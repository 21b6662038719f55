import type { AriClient } from '../ari/client.ts';
import { AriError } from '../ari/requests.ts';
import { CAUSE } from '../q850/causes.ts';
import type { EndTreatment } from './end-reason.ts';
import type { CallInfo } from './info.ts';

/**
 * How a channel is released: returned to the dialplan with this `PIPECAT_STATUS`, or hung up with
 * this Q.850 cause.
 */
export interface ChannelRelease {
  readonly status?: string | undefined;
  readonly cause: number;
  /** Asterisk has accepted the request, or the other side hung up. */
  readonly isDone: boolean;
}

/** How to release a call's channel. A callee came from no dialplan, and is hung up. */
export function releaseOf(
  { direction }: Pick<CallInfo, 'direction'>,
  treatment: EndTreatment,
): ChannelRelease {
  const status = direction === 'inbound' ? treatment.fallback : undefined;
  return { status, cause: treatment.cause, isDone: false };
}

/**
 * Releases a channel. Returns what is left to do. A channel that cannot be returned to the dialplan
 * is hung up, unless it is already on its way there (409) or Asterisk does not reply. Never
 * rejects.
 */
export async function releaseChannel(
  ari: AriClient,
  channelId: string,
  release: ChannelRelease,
): Promise<{ left: ChannelRelease; error?: Error }> {
  const done = { ...release, isDone: true };
  // Normal clearing would be SIP 603 for a caller who was not answered.
  const isGivenBack = release.status !== undefined && release.cause === CAUSE.normalClearing;
  const hangUp = { cause: isGivenBack ? CAUSE.switchingCongestion : release.cause, isDone: false };
  if (release.status === undefined) {
    return await ari.hangUp(channelId, release.cause).then(
      () => ({ left: done }),
      (error: Error) => ({ left: hangUp, error }),
    );
  }
  try {
    // The fallback must work without the status too.
    await ari.setVariable(channelId, 'PIPECAT_STATUS', release.status).catch(() => {});
    await ari.continueInDialplan(channelId);
    return { left: done };
  } catch (error) {
    const status = error instanceof AriError ? error.status : 0;
    if (status === 404 || status === 409) return { left: done };
    if (status === 0) return { left: { ...release, isDone: false }, error: error as Error };
    const { left } = await releaseChannel(ari, channelId, hangUp);
    return { left, error: error as Error };
  }
}
