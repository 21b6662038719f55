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
  readonly proof: AnswerProof;
  /** For an outbound call of ours. */
  readonly dial: Dial | undefined;
  readonly info: () => CallInfo;
  readonly isAnswered: () => boolean;
  /** Resolves when the bot has sent its first audio. */
  readonly firstBotAudio: Promise<void>;
  readonly onMedia: (event: MediaEvent) => void;
  /** The media is open. */
  readonly opened: (media: MediaSession) => void;
  readonly answered: () => void;
  readonly mark: (step: string) => void;
  /** A step that must not delay the call. Its failure shows in later steps. */
  readonly inBackground: (step: Promise<unknown>, name: string) => void;
}

/**
 * Opens what a call needs, in order: media, bot, mixing bridge and media channel, answer, join.
 * Pushes each one's release to `release` before requesting it. Rejects as soon as the call ends.
 */
export async function setUp(call: SetUpContext, release: Undo[]): Promise<void> {
  const { ari, ending, troubles, caller, dial, proof } = call;
  const { channelId } = call.info();
  const usable = proof.isGiven ? undefined : proof.demand(ari, channelId);
  // If set-up fails before that, the proof is awaited at the end.
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
  // An adopted call's caller is joined at once, while the bot is being reconnected.
  const isBack = call.isAnswered() && call.info().adopted !== undefined;
  const path = built.then(() => (isBack ? join(call, media) : undefined));
  // The ringing tone must have started before the answer stops it.
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
