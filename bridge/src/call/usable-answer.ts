import { setTimeout as delay } from 'node:timers/promises';
import type { AriClient } from '../ari/client.ts';
import { AriError } from '../ari/requests.ts';
import { CAUSE } from '../q850/causes.ts';

/**
 * A callee answered with unusable media: another codec than offered, SRTP, or only telephone-event
 * (RFC 3264 section 6).
 */
export class UnusableAnswer extends Error {
  override name = 'UnusableAnswer';
  readonly code = 'unusable-answer';
}

/** Cause and SIP status of such an answer: 488 Not Acceptable Here (RFC 3261 section 21.4.26). */
export const UNUSABLE = { cause: CAUSE.bearerCapabilityNotAvailable, sipStatus: 488 };

/** How long a call's end waits for the check of its answer. */
const REPLY_WAIT_MS = 1_000;

/**
 * Checks that an answered channel has audio: Asterisk accepts an answer without any, and does not
 * report it. Rejects with {@link UnusableAnswer} if there is none, or with an {@link AriError} if
 * the channel is gone. Resolves if Asterisk cannot tell.
 */
export async function expectUsable(ari: AriClient, channelId: string): Promise<void> {
  let counts: Record<string, number> | undefined;
  try {
    counts = await ari.farEndCounts(channelId);
  } catch (error) {
    if (error instanceof AriError && error.status === 404) throw error;
    return;
  }
  if (counts === undefined) throw new UnusableAnswer('the answer leaves the call without audio');
}

/**
 * Proof that the answer of an external client's callee has audio. Without proof the call counts as
 * not answered. Asterisk itself ends a call whose answer has no session description (SDP). That end
 * may arrive before the result of the check.
 */
export class AnswerProof {
  #isGiven: boolean;
  /** Never rejects. */
  #demanded = Promise.resolve();

  /** `isNeeded`: a callee has just answered. */
  constructor(isNeeded: boolean) {
    this.#isGiven = !isNeeded;
  }

  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** Rejects as {@link expectUsable} does. The proof is then not given. */
  async demand(ari: AriClient, channelId: string): Promise<void> {
    const given = expectUsable(ari, channelId).then(() => {
      this.#isGiven = true;
    });
    this.#demanded = given.catch(() => {});
    await given;
  }

  /** Whether the answer counts, at the call's end. Waits a little for a running check. */
  async isProven(): Promise<boolean> {
    if (!this.#isGiven) await Promise.race([this.#demanded, delay(REPLY_WAIT_MS)]);
    return this.#isGiven;
  }
}
