import { type AriClient, AriError } from '../ari/client.ts';
import type { EndTreatment } from './end-reason.ts';
import type { CallInfo } from './info.ts';

/** How a channel is left: given back to the dialplan with this `PIPECAT_STATUS`, else hung up with this Q.850 cause. */
export interface ChannelRelease {
  readonly status?: string | undefined;
  readonly cause: number;
  /** Asterisk has taken the request, or the other side has hung up by itself. */
  readonly isDone: boolean;
}

/** How a call's channel is to be left. An outbound callee came from no dialplan, and is hung up. */
export function releaseOf(
  { direction }: Pick<CallInfo, 'direction'>,
  treatment: EndTreatment,
): ChannelRelease {
  const status = direction === 'inbound' ? treatment.fallback : undefined;
  return { status, cause: treatment.cause, isDone: false };
}

/**
 * Leaves a channel, and tells what is left to be done of it. One that cannot be given back is hung up; but not where it is on its way
 * already (409), or where Asterisk does not reply. Never rejects.
 */
export async function releaseChannel(
  ari: AriClient,
  channelId: string,
  release: ChannelRelease,
): Promise<{ left: ChannelRelease; error?: Error }> {
  const done = { ...release, isDone: true };
  const hangUp = { cause: release.cause, isDone: false };
  if (release.status === undefined) {
    return await ari.hangUp(channelId, release.cause).then(
      () => ({ left: done }),
      (error: Error) => ({ left: hangUp, error }),
    );
  }
  try {
    // The fallback does not depend on knowing why.
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
