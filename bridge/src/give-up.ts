import { type AriClient, AriError } from './ari/client.ts';
import type { CallInfo } from './call-info.ts';
import type { EndTreatment } from './end-reason.ts';

/** Hangs a caller up, or gives them back to the dialplan, which has a fallback. Rejects where they had to be hung up after all. */
export async function giveUpCaller(
  ari: AriClient,
  { channelId, direction }: CallInfo,
  treatment: EndTreatment,
): Promise<void> {
  try {
    if (treatment.fallback !== undefined && direction === 'inbound') {
      await ari.setVariable(channelId, 'PIPECAT_STATUS', treatment.fallback);
      await ari.continueInDialplan(channelId);
    } else {
      await ari.hangUp(channelId, treatment.cause);
    }
  } catch (error) {
    if (error instanceof AriError && error.status === 404) return;
    await ari.hangUp(channelId, treatment.cause).catch(() => {});
    throw error;
  }
}

/** A channel that is not taken goes back to the dialplan, with the reason in `PIPECAT_STATUS`; a callee, who came from none, is hung up. */
export async function giveBack(
  ari: AriClient,
  channelId: string,
  status: string,
  isOutbound: boolean,
): Promise<void> {
  if (isOutbound) return await ari.hangUp(channelId, 42);
  // The fallback does not depend on knowing why.
  await ari.setVariable(channelId, 'PIPECAT_STATUS', status).catch(() => {});
  await ari.continueInDialplan(channelId).catch(() => ari.hangUp(channelId, 42));
}
