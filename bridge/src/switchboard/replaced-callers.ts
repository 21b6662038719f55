import type { AriChannel } from '../ari/model.ts';
import { isOwn, parseOwnId } from '../call/asterisk-ids.ts';
import { providerName } from '../call/info.ts';
import type { Logger } from '../log.ts';
import { CAUSE } from '../q850/causes.ts';
import type { Background } from './background.ts';
import type { PendingReleases } from './pending-releases.ts';
import type { RunningCalls } from './running-calls.ts';

/** What a replacement works with. */
export interface ReplacedCallersContext {
  readonly running: Pick<RunningCalls, 'all' | 'replace'>;
  readonly pendingReleases: PendingReleases;
  readonly background: Background;
  readonly log: Logger;
}

/**
 * A channel replaces another one in its mixing bridge (RFC 3891). Allowed only for a channel of the
 * caller's own provider. Returns false if the replaced channel is of no call.
 */
export function takePlace(
  { running, pendingReleases, background, log }: ReplacedCallersContext,
  channel: AriChannel,
  replacedId: string,
): boolean {
  const leg = isOwn(replacedId, 'pct') ? parseOwnId(replacedId) : undefined;
  const call = running.all.get(leg?.callerId ?? replacedId);
  if (call === undefined) return false;
  const isSame = providerName(channel) === call.info.sipProvider && leg === undefined;
  const isTaken =
    isSame && call.state === 'active' && !call.isEnding && call.latestTransfer?.status !== 'pending';
  log[isTaken ? 'info' : 'warn'](
    { callId: call.info.callId, isTaken },
    'a channel takes the place of another',
  );
  const goes = isTaken ? replacedId : channel.id;
  if (isTaken) running.replace(call, replacedId, channel.id);
  else call.caller.rejoin(replacedId);
  const release = { cause: isTaken ? CAUSE.normalClearing : CAUSE.callRejected, isDone: false };
  background.run(pendingReleases.release(goes, release), 'hang up a channel that was replaced');
  return true;
}
