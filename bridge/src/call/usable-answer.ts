import { setTimeout as delay } from 'node:timers/promises';
import { type AriClient, AriError } from '../ari/client.ts';
import { CAUSE } from '../q850/causes.ts';

/** A callee answered with media that cannot be used: another codec than was offered, SRTP, nothing but keys (RFC 3264 section 6). */
export class UnusableAnswer extends Error {
  override name = 'UnusableAnswer';
  readonly code = 'unusable-answer';
}

/** The cause and the SIP status of such an answer: 488 is Not Acceptable Here (RFC 3261 section 21.4.26). */
export const UNUSABLE = { cause: CAUSE.bearerCapabilityNotAvailable, sipStatus: 488 };

/** A call that ends waits for so long for what Asterisk says of its answer. */
const REPLY_WAIT_MS = 1_000;

/** Asterisk has RTP statistics of every channel with an audio stream, be it on hold, and says so of one without. */
const NO_AUDIO = /\bRTP\b/;

/**
 * Looks whether a channel that is up has audio: Asterisk takes an answer that leaves it without any, and says nothing. Rejects with
 * {@link UnusableAnswer} where it has none, with an {@link AriError} where it is gone already; what cannot be found out is no reason to end a call.
 */
export async function expectUsable(ari: AriClient, channelId: string): Promise<void> {
  try {
    await ari.farEndCounts(channelId);
  } catch (error) {
    if (!(error instanceof AriError) || error.status !== 404) return;
    if (NO_AUDIO.test(error.message)) throw new UnusableAnswer('the answer leaves the call without audio');
    throw error;
  }
}

/**
 * That the answer of somebody else's callee left the call with audio. Until it is given, the answer is none: Asterisk ends a call
 * by itself whose answer has no session description, and its end may come before what it says of the audio.
 */
export class AnswerProof {
  #isGiven: boolean;
  /** Never rejects. */
  #demanded = Promise.resolve();

  /** `isNeeded`: where a callee has just answered. */
  constructor(isNeeded: boolean) {
    this.#isGiven = !isNeeded;
  }

  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** Rejects as {@link expectUsable} does; then the proof is not given. */
  async demand(ari: AriClient, channelId: string): Promise<void> {
    const given = expectUsable(ari, channelId).then(() => {
      this.#isGiven = true;
    });
    this.#demanded = given.catch(() => {});
    await given;
  }

  /** Whether the answer was one, at the call's end: what is still being asked is waited for a little. */
  async holds(): Promise<boolean> {
    if (!this.#isGiven) await Promise.race([this.#demanded, delay(REPLY_WAIT_MS)]);
    return this.#isGiven;
  }
}
