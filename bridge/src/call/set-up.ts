import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import type { MediaPool } from '../media/pool.ts';
import type { MediaEvent, MediaSession } from '../media/session.ts';
import type { Answer } from './answer.ts';
import type { CallBot } from './call-bot.ts';
import type { CallLog } from './call-log.ts';
import type { CallerChannel } from './caller-channel.ts';
import type { Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import type { MediaTroubles } from './media-troubles.ts';
import type { CallSettings } from './settings.ts';

/** Undoes a step of the set-up. */
export type Undo = () => Promise<unknown>;

/** What a call's set-up works with, and what it reports to the call. */
export interface SetUpContext {
  readonly ari: AriClient;
  readonly pool: MediaPool;
  readonly settings: CallSettings;
  readonly ending: Ending;
  readonly caller: CallerChannel;
  readonly troubles: MediaTroubles;
  readonly answer: Answer;
  readonly bot: CallBot;
  readonly log: CallLog;
  readonly info: () => CallInfo;
  readonly onMedia: (event: MediaEvent) => void;
  readonly answered: () => void;
  readonly mark: (step: string) => void;
}

/**
 * Opens what a call needs, in order: media, bot, mixing bridge and media channel, answer, join.
 * Pushes each one's release to `release` before requesting it. Rejects as soon as the call ends.
 */
export async function setUp(call: SetUpContext, release: Undo[]): Promise<void> {
  const { ari, ending, troubles, caller, bot, log } = call;
  const { dial, proof } = call.answer;
  const { channelId } = call.info();
  const usable = proof.isGiven ? undefined : proof.demand(ari, channelId);
  // If set-up fails before that, the proof is awaited at the end.
  usable?.catch(() => {});
  const media = await ending.openOrEnd(call.pool.open(call.settings.media, call.onMedia));
  bot.opened(media);
  release.push(() => media.close());
  call.mark('media');
  const callee = dial?.run(channelId, ending.signal).then(call.answered);
  const isWaiting = !call.answer.isGiven && callee === undefined;
  const taken = isWaiting && call.info().isRinging ? caller.take() : undefined;
  taken?.catch(() => {});
  const ringing = isWaiting && taken === undefined ? ari.ring(channelId) : undefined;
  if (ringing !== undefined) log.inBackground(ringing, 'ring');
  log.inBackground(caller.attend(), 'attend');
  const connected = troubles.survive(() => media.connectBot());
  const built = troubles.buildPath(media, call.mark, release);
  // An adopted call's caller is joined at once, while the bot is being reconnected.
  const isBack = call.answer.isGiven && call.info().adopted !== undefined;
  const path = built.then(() => (isBack ? join(call, media) : undefined));
  // The ringing tone must have started before the answer stops it.
  await ending.orEnd(Promise.all([connected, path, callee, usable, taken, ringing?.catch(() => {})]));
  await ending.orEnd(troubles.survive(() => media.botSettled()));
  if (!call.answer.isGiven) await answer(call);
  if (!isBack) await join(call, media);
}

async function join({ caller, ending, troubles, mark }: SetUpContext, media: MediaSession): Promise<void> {
  await caller.join();
  mark('joined');
  await ending.orEnd(troubles.settled());
  media.startRelay();
}

async function answer({ settings, ending, troubles, caller, ...call }: SetUpContext): Promise<void> {
  if (settings.answerOn === 'first-audio' && settings.speaksFirst) {
    // A bot that stays silent ends the call.
    await ending.orEnd(call.bot.firstAudio);
  } else if (settings.answerOn === 'first-audio') {
    const limit = delay(settings.firstAudioMs, undefined, { signal: ending.signal }).catch(() => {});
    await ending.orEnd(Promise.race([call.bot.firstAudio, limit]));
  }
  await ending.orEnd(troubles.settled().then(() => caller.answer()));
  call.answered();
}
