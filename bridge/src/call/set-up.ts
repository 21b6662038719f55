import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import type { MediaPool } from '../media/pool.ts';
import type { MediaEvent, MediaSession } from '../media/session.ts';
import type { CallerChannel } from './caller-channel.ts';
import type { Dial } from './dial.ts';
import type { Ending } from './ending.ts';
import type { CallInfo } from './info.ts';
import type { MediaTroubles } from './media-troubles.ts';
import type { CallSettings } from './settings.ts';
import type { AnswerProof } from './usable-answer.ts';

/** What undoes a step of the set-up. */
export type Undo = () => Promise<unknown>;

/** What the set-up of a call works with, and what it tells the call. */
export interface SetUpContext {
  readonly ari: AriClient;
  readonly pool: MediaPool;
  readonly settings: CallSettings;
  readonly ending: Ending;
  readonly caller: CallerChannel;
  readonly troubles: MediaTroubles;
  readonly proof: AnswerProof;
  /** Of a call that we place. */
  readonly dial: Dial | undefined;
  readonly info: () => CallInfo;
  readonly isAnswered: () => boolean;
  /** Resolves when the bot has sent a sound. */
  readonly firstBotAudio: Promise<void>;
  readonly onMedia: (event: MediaEvent) => void;
  /** The media is open. */
  readonly opened: (media: MediaSession) => void;
  readonly answered: () => void;
  readonly mark: (step: string) => void;
  /** A step that must not hold up the call, and whose failure shows in what follows. */
  readonly inBackground: (step: Promise<unknown>, name: string) => void;
}

/**
 * Acquires what a call needs, in order: media, bot, mixing bridge and media channel, the answer,
 * the join. What is to be undone is pushed to `release` before it is asked for. Throws as soon as
 * the call ends.
 */
export async function setUp(call: SetUpContext, release: Undo[]): Promise<void> {
  const { ari, ending, troubles, caller, dial, proof } = call;
  const { channelId } = call.info();
  const usable = proof.isGiven ? undefined : proof.demand(ari, channelId);
  // A call that fails sooner asks at its end.
  usable?.catch(() => {});
  const media = await ending.openOrEnd(call.pool.open(call.settings.media, call.onMedia));
  call.opened(media);
  release.push(() => media.close());
  call.mark('media');
  const callee = dial?.run(channelId, ending.signal).then(call.answered);
  const ringing = call.isAnswered() || callee !== undefined ? undefined : ari.ring(channelId);
  if (ringing !== undefined) call.inBackground(ringing, 'ring');
  call.inBackground(caller.attend(), 'attend');
  const bot = troubles.survive(() => media.connectBot());
  const built = troubles.buildPath(media, call.mark, release);
  // Who was in the call already hears that it goes on while the bot is sought.
  const isBack = call.isAnswered() && call.info().adopted !== undefined;
  const path = built.then(() => (isBack ? join(call, media) : undefined));
  // A ringing tone that overtakes the answer would stay.
  await ending.orEnd(Promise.all([bot, path, callee, usable, ringing?.catch(() => {})]));
  await ending.orEnd(troubles.survive(() => media.botSettled()));
  if (!call.isAnswered()) await answer(call);
  if (!isBack) await join(call, media);
}

async function join({ caller, ending, troubles, mark }: SetUpContext, media: MediaSession): Promise<void> {
  await caller.join();
  mark('joined');
  await ending.orEnd(troubles.settled());
  media.startRelay();
}

async function answer({ settings, ending, troubles, caller, ...call }: SetUpContext): Promise<void> {
  if (settings.answerOn === 'first-audio') {
    const limit = delay(settings.firstAudioMs, undefined, { signal: ending.signal }).catch(() => {});
    await ending.orEnd(Promise.race([call.firstBotAudio, limit]));
  }
  await ending.orEnd(troubles.settled().then(() => caller.answer()));
  call.answered();
}
