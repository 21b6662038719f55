import type { CallBot } from './call-bot.ts';
import type { CallLog } from './call-log.ts';
import type { CallerChannel } from './caller-channel.ts';
import { treatmentOf } from './end-reason.ts';
import type { Ending } from './ending.ts';
import { playLastWords } from './last-words.ts';
import type { CallResult } from './result.ts';
import type { Undo } from './set-up.ts';
import type { CallTransfers } from './transfers.ts';

/** The parts of a call that its release works with. */
export interface ReleaseContext {
  readonly ending: Ending;
  readonly bot: CallBot;
  readonly transfers: CallTransfers;
  readonly caller: CallerChannel;
  readonly log: CallLog;
}

/**
 * Releases what a call holds, in order: the bot's last audio is played, then transfers, bot and
 * caller are released, then the steps of the set-up are undone in reverse order. Never rejects.
 */
export async function releaseCall(
  { ending, bot, transfers, caller, log }: ReleaseContext,
  steps: Undo[],
): Promise<Pick<CallResult, 'reason' | 'treatment' | 'cause' | 'figures'>> {
  const failed = (error: Error) => log.releaseFailed(error);
  const hasLastWords = ending.reason !== undefined && treatmentOf(ending.reason).drain;
  if (hasLastWords && bot.media !== undefined) await playLastWords(bot.media, ending.signal);
  ending.abort();
  await transfers.release().catch(failed);
  // Another process may have taken the caller over meanwhile.
  const reason = ending.decide();
  const treatment = treatmentOf(reason);
  const cause = await ending.cause(treatment.cause);
  if (!bot.isGone) bot.dismiss(reason, cause);
  // A caller whom we sent to the dialplan is no longer ours.
  const isElsewhere = reason.kind === 'transferred' && transfers.callerAway;
  if (!isElsewhere && reason.kind !== 'taken-over') await caller.leave(treatment);
  const figures = await bot.figures();
  // In place: a step that the set-up still adds is undone too.
  for (const undo of steps.reverse()) await undo().catch(failed);
  return { reason, treatment, cause, figures };
}
