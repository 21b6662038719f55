import { z } from 'zod';
import { comfortWav } from './comfort-wav.ts';

const milliseconds = (minimum: number, maximum: number) => z.coerce.number().int().min(minimum).max(maximum);

/**
 * What a call does until its bot is heard, and when the bot is lost. Settings of the environment,
 * which a provider's file may override.
 */
export const ladderKeys = {
  ANSWER_ON: z.enum(['connected', 'first-audio']),
  FIRST_AUDIO_MS: milliseconds(100, 60_000),
  BOT_SPEAKS_FIRST: z.enum(['yes', 'no']),
  BOT_CONNECT_MS: milliseconds(100, 120_000),
  BOT_CONNECT_TRIES: z.coerce.number().int().min(1).max(1_000),
  BOT_RECONNECT_MS: milliseconds(0, 120_000),
  BOT_HUNG_MS: milliseconds(0, 120_000),
  COMFORT_WAV: comfortWav,
};

type Values = { readonly [key in keyof typeof ladderKeys]: z.infer<(typeof ladderKeys)[key]> };
/** Settings without a default. */
type Unset = 'BOT_CONNECT_TRIES' | 'BOT_SPEAKS_FIRST' | 'COMFORT_WAV';
/** The ladder's settings as a provider's file may have them. */
export type LadderOfProvider = { readonly [key in keyof Values]?: Values[key] | undefined };
/** The ladder's settings of the environment. */
export type LadderOfAll = Omit<Values, Unset> & Pick<LadderOfProvider, Unset>;

/** The ladder of one call. */
export interface BotLadder {
  readonly answerOn: 'connected' | 'first-audio';
  /** Time from `start` in which the bot should be heard, ms. */
  readonly firstAudioMs: number;
  /** Whether a bot that is not heard by then has failed. Else it may wait for the caller. */
  readonly speaksFirst: boolean;
  readonly connectMs: number;
  /** Infinite: as many as fit into `connectMs`. */
  readonly connectTries: number;
  /** How long a lost bot is sought, ms; 0: not at all. */
  readonly reconnectMs: number;
  /** A bot from which nothing comes for this time is lost, ms; 0: no such limit. */
  readonly hungMs: number;
  /** What the caller hears meanwhile, pcm16 at 8000 Hz. Undefined: a tone. */
  readonly comfortMusic: Uint8Array | undefined;
}

/** The ladder of a provider's calls. */
export function botLadder(all: LadderOfAll, own: LadderOfProvider = {}): BotLadder {
  const answerOn = own.ANSWER_ON ?? all.ANSWER_ON;
  // An operator whose calls are answered by the bot's first audio knows that the bot begins.
  const usually = answerOn === 'first-audio' ? 'yes' : 'no';
  return {
    answerOn,
    firstAudioMs: own.FIRST_AUDIO_MS ?? all.FIRST_AUDIO_MS,
    speaksFirst: (own.BOT_SPEAKS_FIRST ?? all.BOT_SPEAKS_FIRST ?? usually) === 'yes',
    connectMs: own.BOT_CONNECT_MS ?? all.BOT_CONNECT_MS,
    connectTries: own.BOT_CONNECT_TRIES ?? all.BOT_CONNECT_TRIES ?? Number.POSITIVE_INFINITY,
    reconnectMs: own.BOT_RECONNECT_MS ?? all.BOT_RECONNECT_MS,
    hungMs: own.BOT_HUNG_MS ?? all.BOT_HUNG_MS,
    comfortMusic: own.COMFORT_WAV ?? all.COMFORT_WAV,
  };
}

/** The ladder's part of a provider's file. */
export function ladderOf(file: LadderOfProvider): LadderOfProvider {
  const keys = Object.keys(ladderKeys) as (keyof Values)[];
  return Object.fromEntries(keys.map((key) => [key, file[key]]));
}
